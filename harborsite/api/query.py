"""The languages of `q=` and `sort=`; both reach only the columns that a list names.

A term is `key=value`; the first character of the value chooses: exact, `~fuzzy`, `[min~max]`, `{one of these}`,
`(all of these)`. Terms are joined by commas. Unknown keys are ignored, as in Harbor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from django.db.models import Model, Q, QuerySet

from harborsite.api.parameters import INT64
from harborsite.errors import BadRequest

M = TypeVar("M", bound=Model)

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SUFFIXES = ("icontains", "in", "gte", "lte", "gt", "lt", "exact")
_MALFORMED = 'the query string must contain "=" and the key/value cannot be empty'


@dataclass(frozen=True, slots=True)
class Exact:
    value: str


@dataclass(frozen=True, slots=True)
class Fuzzy:
    value: str


@dataclass(frozen=True, slots=True)
class Range:
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    values: tuple[str, ...]


Term = Exact | Fuzzy | Range | AnyOf | AllOf


def parse(text: str) -> dict[str, Term]:
    """The terms of a `q`, which Harbor unescapes a second time."""
    if not text:
        return {}
    if not _BROKEN_ESCAPE.search(text):
        text = unquote_plus(text)
    terms: dict[str, Term] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not (equals and key.strip() and value):
            raise BadRequest(_MALFORMED)
        terms[key.strip()] = _term(value)
    return terms


def bad_value(value: str) -> BadRequest:
    return BadRequest(f"invalid query string value: {value[:200]}")


def _term(value: str) -> Term:
    match value[0]:
        case "~":
            if len(value) == 1:
                raise bad_value(value)
            return Fuzzy(value[1:])
        case "[":
            low, tilde, high = value[1:-1].partition("~")
            if not value.endswith("]") or not tilde or "~" in high or not (low.strip() or high.strip()):
                raise bad_value(value)
            return Range(_bare(low), _bare(high))
        case "{" | "(":
            if value[-1] != {"{": "}", "(": ")"}[value[0]]:
                raise bad_value(value)
            items = tuple(_bare(item) for item in value[1:-1].split())
            if not items:
                raise bad_value(value)
            return AnyOf(items) if value[0] == "{" else AllOf(items)
        case "\\":
            return Exact(value[1:])
        case _:
            return Exact(value)


def _bare(item: str) -> str:
    item = item.strip()
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] and item[0] in "\"'" else item


def to_text(value: str) -> str:
    return value


def to_number(value: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,19}", value, re.ASCII) or abs(int(value)) > INT64:
        raise bad_value(value)
    return int(value)


def to_flag(value: str) -> bool:
    flags = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in flags:
        raise bad_value(value)
    return flags[value.lower()]


def to_time(value: str) -> datetime:
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise bad_value(value) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a list may be filtered and sorted by: its place in the model and its type."""

    path: str
    convert: Callable[[str], Any] = to_text


Columns = Mapping[str, Column]


def filtered(rows: QuerySet[M], terms: Mapping[str, Term], columns: Columns) -> QuerySet[M]:
    """`rows` narrowed by those terms whose keys are in `columns`."""
    condition = Q()
    for key, term in terms.items():
        name, _, suffix = key.rpartition("__") if key.rpartition("__")[2] in _SUFFIXES else (key, "", "exact")
        column = columns.get(_snake(name))
        if column is not None:
            condition &= _condition(column, _suffixed(suffix, term))
    return rows.filter(condition) if condition else rows


def _suffixed(suffix: str, term: Term) -> Term:
    """`name__icontains=x` is `name=~x`, and so on."""
    if not isinstance(term, Exact):
        return term
    match suffix:
        case "icontains":
            return Fuzzy(term.value)
        case "in":
            return AnyOf(tuple(term.value.split()))
        case "gte" | "gt":
            return Range(term.value, "")
        case "lte" | "lt":
            return Range("", term.value)
        case _:
            return term


def _condition(column: Column, term: Term) -> Q:
    path, convert = column.path, column.convert
    match term:
        case Exact(value) if convert is to_flag:
            return Q(**{f"{path}__in": [convert(value)]})  # Django writes `WHERE flag`, for which SQLite takes no index
        case Exact(value):
            return Q(**{path: convert(value)})
        case Fuzzy(value):
            return Q(**{f"{path}__icontains": value})
        case Range(low, high):
            bounds = {f"{path}__gte": low, f"{path}__lte": high}
            return Q(**{lookup: convert(bound) for lookup, bound in bounds.items() if bound})
        case AnyOf(values):
            return Q(**{f"{path}__in": [convert(value) for value in values]})
        case AllOf(values):
            raise bad_value(f"({' '.join(values)})")


def ordered(rows: QuerySet[M], sort: str, columns: Columns, default: tuple[str, ...]) -> QuerySet[M]:
    """`rows` in the order of `sort=a,-b`."""
    return rows.order_by(*order(sort, columns, default))


def order(sort: str, columns: Columns, default: tuple[str, ...]) -> tuple[str, ...]:
    """The order of `sort=a,-b` as Django writes it; the primary key makes every order total."""
    chosen: list[str] = []
    for key in sort.split(","):
        column = columns.get(_snake(key.strip().lstrip("-+")))
        if column is not None:
            chosen.append(f"-{column.path}" if key.strip().startswith("-") else column.path)
    return (*(chosen or default), "pk")


def _snake(key: str) -> str:
    """Harbor takes a field by its Go name, too: `CreationTime` is `creation_time`."""
    key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()
