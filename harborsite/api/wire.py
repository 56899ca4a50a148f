"""How values are written in answers of the REST API: times, and what is left out."""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

ZERO_TIME = "0001-01-01T00:00:00.000Z"  # Harbor's word for "never"


def stamp(when: datetime | None) -> str:
    """`2024-01-02T03:04:05.678Z`; the zero time for None."""
    if when is None:
        return ZERO_TIME
    return f"{when.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def stamp_seconds(when: datetime | None) -> str:
    """`2024-01-02T03:04:05Z`, as executions and tasks write it."""
    return "0001-01-01T00:00:00Z" if when is None else f"{when.astimezone(UTC).isoformat(timespec='seconds')[:-6]}Z"


S = TypeVar("S", bound=Mapping[str, Any])


def without_empty(shape: S, *names: str) -> S:
    """`shape` without those of `names` that are empty: Harbor leaves unset texts, numbers and objects out."""
    members = cast(dict[str, Any], shape)
    for name in names:
        if not members[name]:
            del members[name]
    return shape


def escaped(text: str) -> str:
    """HTML-escaped as Harbor does it (Go's table), where its clients expect that."""
    return html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
