"""Lists as most clients ask for them, without a filter: by statements that are built once.

REPOSITORIES = Listing(of_project, COLUMNS, ("-creation_time", "-pk"))
listed(request, REPOSITORIES, render, project.pk)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from harborsite.api import query
from harborsite.api.answers import Paged
from harborsite.api.paging import Page, paged
from harborsite.api.query import Columns
from harborsite.db.prepared import PreparedModels, prepared_count, prepared_models

M = TypeVar("M", bound=Model)
T = TypeVar("T")
_KEPT = 256  # statements of one list: a page, a size and an order each


class Listing(Generic[M]):
    """The rows of `base`, a function as `harborsite.db.prepared` wants it; filters and orders reach `columns` alone."""

    def __init__(
        self,
        base: Callable[..., QuerySet[M]],
        columns: Columns,
        default: tuple[str, ...],
        *,
        sorts: Columns | None = None,
    ) -> None:
        self.base, self.columns, self.default = base, columns, default
        self.sorts = columns if sorts is None else sorts
        self.count = prepared_count(base)
        self.rows = lru_cache(_KEPT)(self._statement)

    def _statement(self, order: tuple[str, ...], start: int, stop: int | None) -> PreparedModels:
        @wraps(self.base)
        def rows(*arguments: Any) -> QuerySet[M]:
            return self.base(*arguments).order_by(*order)[start:stop]

        return prepared_models(rows)


def listed(
    request: Request,
    listing: Listing[M],
    render: Callable[[Sequence[M]], list[T]],
    *arguments: Any,
    narrow: Callable[[QuerySet[M]], QuerySet[M]] | None = None,
) -> Paged[T]:
    """The page that is asked for of the rows for `arguments`; `narrow` is what is asked for beside `q`."""
    order = query.order(request.GET.get("sort", ""), listing.sorts, listing.default)
    terms = query.parse(request.GET.get("q", ""))
    if terms or narrow:
        rows = query.filtered(listing.base(*arguments), terms, listing.columns)
        return paged(request, (narrow(rows) if narrow else rows).order_by(*order), render)
    page, total = Page.of(request), listing.count(*arguments)
    start, stop = page.bounds
    found = listing.rows(order, start, stop)(*arguments) if start < total else []
    return Paged(render(found), headers=page.headers(request, total))
