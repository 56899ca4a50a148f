"""List filters that the admin does not have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from django.contrib.admin import ListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class DateFilter(ListFilter):
    """From one day to another, both included, in UTC; subclasses name the column."""

    title = _("Date (UTC)")
    template = "portal/date_filter.html"
    column: str
    names = ("from", "to")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.names:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """One entry: what the form shows, what it has to carry on, and where nothing is filtered by date."""
        kept = [(name, value) for name, value in changelist.params.items() if name not in {*self.names, "p"}]
        yield {
            "fields": [
                (name, label, self.used_parameters.get(name, "") if self._day(name) else "")
                for name, label in zip(self.names, (_("From"), _("To")), strict=True)
            ],
            "kept": kept,
            "selected": bool(self.used_parameters),
            "clear_url": changelist.get_query_string(remove=[*self.names, "p"]),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What cannot be read as a day filters nothing, and the form shows that it is empty."""
        first, last = (self._day(name) for name in self.names)
        if first:
            queryset = queryset.filter(**{f"{self.column}__gte": datetime.combine(first, time.min, UTC)})
        if last:
            queryset = queryset.filter(**{f"{self.column}__lte": datetime.combine(last, time.max, UTC)})
        return queryset

    def _day(self, name: str) -> date | None:
        try:
            return date.fromisoformat(str(self.used_parameters.get(name, "")))
        except ValueError:
            return None
