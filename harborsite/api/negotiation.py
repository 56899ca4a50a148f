"""What clients of the REST API accept: JSON or text, or nothing that we have."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from harborsite.errors import Unprocessable

_OURS = frozenset({"*/*", "application/*", "application/json", "text/*", "text/plain"})


class JsonOrText(BaseContentNegotiation):
    """Any answer is sent as what it is; only a client that wants neither JSON nor text is refused."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The first one: the shape of the body decides, and a wrong media type is told there."""
        return next(iter(parsers), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        accepted = request.META.get("HTTP_ACCEPT", "")
        kinds = {kind.partition(";")[0].strip().lower() for kind in accepted.split(",")}
        if accepted and not kinds & _OURS:
            raise Unprocessable(
                "unsupported media type requested, only [text/plain application/json] are available",
                headers={"WWW-Authenticate": 'Basic realm="API"'},
            )
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or "application/json"
