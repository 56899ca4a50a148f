"""Query parameters with types; a value of another type is 422, as the interface's description has it."""

from __future__ import annotations

from typing import overload

from rest_framework.request import Request

from harborsite.errors import Unprocessable

INT64 = 2**63 - 1
_TRUE = frozenset({"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})  # anything else is no


def integer(value: str, name: str, *, place: str = "query") -> int:
    """`value` as a 64-bit number."""
    digits = value[1:] if value[:1] in {"-", "+"} else value
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and abs(int(value)) <= INT64):
        raise Unprocessable(f'{name} in {place} must be of type int64: "{value[:64]}"')
    return int(value)


@overload
def number(request: Request, name: str, default: int) -> int: ...
@overload
def number(request: Request, name: str, default: None = None) -> int | None: ...
def number(request: Request, name: str, default: int | None = None) -> int | None:
    value = request.GET.get(name, "")
    return integer(value, name) if value else default


@overload
def flag(request: Request, name: str, default: bool) -> bool: ...
@overload
def flag(request: Request, name: str, default: None = None) -> bool | None: ...
def flag(request: Request, name: str, default: bool | None = None) -> bool | None:
    value = request.GET.get(name, "")
    return value.lower() in _TRUE if value else default


def required(request: Request, name: str) -> str:
    value = request.GET.get(name)
    if not value:
        raise Unprocessable(f"{name} in query is required")
    return value
