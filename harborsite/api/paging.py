"""Pages of a list: `page`, `page_size`, X-Total-Count and Link, exactly as Harbor writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_plus, urlencode

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from harborsite.api import parameters
from harborsite.api.answers import Paged
from harborsite.errors import Unprocessable

M = TypeVar("M", bound=Model)
T = TypeVar("T")
Item = TypeVar("Item")
MAX_SIZE = 100
DEFAULT_SIZE = 10


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for; a size of 0 or less means all of it."""

    number: int
    size: int

    @classmethod
    def of(cls, request: Request, *, default_size: int = DEFAULT_SIZE) -> Page:
        size = parameters.number(request, "page_size", default_size)
        if size > MAX_SIZE:
            raise Unprocessable(f"page_size in query should be less than or equal to {MAX_SIZE}")
        return cls(parameters.number(request, "page", 1), size)

    @property
    def bounds(self) -> tuple[int, int | None]:
        if self.size <= 0:
            return 0, None
        start = max(self.number - 1, 0) * self.size
        return start, start + self.size

    def headers(self, request: Request, total: int) -> dict[str, str]:
        headers = {"X-Total-Count": str(total)}
        links = []
        if self.size > 0:
            if self.number > 1 and (self.number - 1) * self.size < total:
                links.append(self._link(request, self.number - 1, "prev"))
            if self.number * self.size < total:
                links.append(self._link(request, self.number + 1, "next"))
        if links:
            headers["Link"] = " , ".join(links)
        return headers

    def _link(self, request: Request, number: int, relation: str) -> str:
        """Path and query only: clients put the host that they asked before it."""
        query = {name: request.GET.getlist(name) for name in request.GET}
        query |= {"page": [str(number)], "page_size": [str(self.size)]}
        text = unquote_plus(urlencode(sorted(query.items()), doseq=True))
        return f'<{_printable(request.path)}?{_printable(text)}>; rel="{relation}"'


def _printable(text: str) -> str:
    """Without what could break the header line."""
    return "".join(char for char in text if char.isprintable() and char.isascii() and char not in "<>")


def paged(
    request: Request, rows: QuerySet[M], render: Callable[[Sequence[M]], list[T]], *, default_size: int = DEFAULT_SIZE
) -> Paged[T]:
    """The page of `rows` that is asked for; `render` makes the answer's items of it."""
    page = Page.of(request, default_size=default_size)
    total = rows.order_by().count()
    start, stop = page.bounds
    chosen = list(rows[start:stop]) if start < total else []
    return Paged(render(chosen), headers=page.headers(request, total))


def paged_list(request: Request, items: Sequence[Item], render: Callable[[Sequence[Item]], list[T]]) -> Paged[T]:
    """The same for a list that is short and in memory."""
    page = Page.of(request)
    start, stop = page.bounds
    return Paged(render(items[start:stop]), headers=page.headers(request, len(items)))
