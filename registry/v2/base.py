"""The base of every view of `/v2`: who may, in which repository, and how answers are dressed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from harborsite.errors import BadRequest, Denied
from harborsite.principal import Principal
from projects import params
from projects.models import Project
from registry.auth.access import Admission, Target, authorise, base_url, may, required
from registry.auth.authentication import REGISTRY_AUTHENTICATION
from registry.auth.scopes import PUSH
from registry.errors import DigestInvalid, NameInvalid, TagInvalid
from registry.oci.digest import Digest, DigestError
from registry.oci.grammar import GrammarError, is_repository_name, parse_reference

API_VERSION = "registry/2.0"
_MOST_NAMES = 10_000  # in one answer that was asked for by `n`
_READS = frozenset({"GET", "HEAD"})


class IgnoreAccept(BaseContentNegotiation):
    """Docker sends manifest types alone in Accept, which DRF would answer with 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        raise NotImplementedError("bodies of /v2 are streams")

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type


class WireJSONRenderer(JSONRenderer):
    """JSON with the charset that registries have always named."""

    charset = "utf-8"


class RegistryView(APIView):
    """Access is decided before any method runs; `project` and `repository` are set where the route has a name."""

    authentication_classes = REGISTRY_AUTHENTICATION
    permission_classes = []
    throttle_classes = []
    parser_classes = []  # never touch request.data
    renderer_classes = [WireJSONRenderer]
    content_negotiation_class = IgnoreAccept
    target: Target | None = Target.REPOSITORY

    name: str  # as the client wrote it, which is how links are written
    admission: Admission

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.name = kwargs.get("name", "")
        if self.name and not is_repository_name(self.name):
            raise NameInvalid(detail={"name": self.name})
        needs = required(str(request.method), self.target, self.name, self.mount_from(request))
        self.admission = authorise(who=self.who, needs=needs, request=request._request)
        if request.method not in _READS and params.get(params.READ_ONLY):
            raise Denied("The system is in read only mode. Any modification is prohibited.")

    def mount_from(self, request: Request) -> str:
        """The repository that the request wants to take something from."""
        return ""

    @property
    def who(self) -> Principal:
        return cast("Principal", self.request.user)  # the stubs know users alone

    @property
    def project(self) -> Project:
        assert self.admission.project is not None  # noqa: S101 - every repository route was admitted with one
        return self.admission.project

    @property
    def repository(self) -> str:
        """The full name, with the project."""
        return self.admission.repository

    def may_push(self) -> bool:
        return may(self.who, PUSH, self.project)

    def url(self, path: str) -> str:
        """An absolute address below this repository."""
        return f"{base_url(self.request._request)}/v2/{self.name}/{path}"

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response["Docker-Distribution-Api-Version"] = API_VERSION
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None of DRF's: what is allowed follows from the spec."""
        return {}


def empty(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """An answer that is all headers."""
    response = HttpResponse(status=status, headers=dict(headers))
    if "Content-Type" not in headers:
        del response["Content-Type"]
    return response


def digest_from(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except DigestError as error:
        raise DigestInvalid(str(error), detail={"Digest": text[:200]}) from None


def reference_from(text: str) -> Digest | str:
    """The digest or tag of a path."""
    try:
        return parse_reference(text)
    except DigestError as error:
        raise DigestInvalid(str(error), detail={"Digest": text[:200]}) from None
    except GrammarError as error:
        raise TagInvalid(str(error)) from None


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client holds these very bytes already."""
    held = request.META.get("HTTP_IF_NONE_MATCH", "")
    return bool(held) and any(tag.strip().removeprefix("W/") in (etag, "*") for tag in held.split(","))


class Page:
    """`n` and `last` of a listing, and the answer with the link to what follows."""

    def __init__(self, request: Request) -> None:
        text = request.query_params.get("n", "")
        if text and not (text.isascii() and text.isdigit()):
            raise BadRequest("the N must be a positive int type")
        self.limit = min(int(text), _MOST_NAMES) if len(text) < 10 and text else _MOST_NAMES if text else None
        self.last = request.query_params.get("last", "")

    def answer(self, path: str, content: dict[str, Any], names: Sequence[str], more: bool) -> Response:
        headers = {"Link": next_page(path, names[-1], self.limit)} if more and names else {}
        return Response(content, headers=headers)


def next_page(path: str, last: str, limit: int | None) -> str:
    """The link to what follows `last`."""
    return f'<{path}?last={quote(last, safe="")}&n={limit}>; rel="next"'
