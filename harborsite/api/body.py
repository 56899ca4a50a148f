"""Typed JSON bodies: `read(request, Shape)` gives an instance of a dataclass, or answers 422.

As with the interface's own decoder, unknown members are dropped, and a missing member or null is the default.
A field is required where it has no default.
"""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from django.core.exceptions import RequestDataTooBig
from rest_framework.request import Request

from harborsite.errors import TooLarge, Unprocessable

T = TypeVar("T")
_NAMES = {str: "string", int: "integer", bool: "boolean", float: "number", dict: "object", list: "array"}


def read(request: Request, shape: type[T]) -> T:
    """The body of `request` as a `shape`."""
    media_type = (request.content_type or "application/json").partition(";")[0].strip()
    if media_type != "application/json":
        raise Unprocessable(f'unsupported media type "{media_type}", only [application/json] are allowed')
    try:
        text = request.body
    except RequestDataTooBig:
        raise TooLarge("request body too large") from None
    if not text:
        raise Unprocessable("a JSON document in body is required")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unprocessable(f"parsing body failed: {error}") from None
    converted: T = _convert(value, shape, "")
    return converted


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@cache
def _hints(shape: type) -> dict[str, Any]:
    return get_type_hints(shape)


def _convert(value: Any, wanted: Any, where: str) -> Any:
    origin = get_origin(wanted)
    if wanted is Any:
        return value
    if origin in {Union, types.UnionType}:
        inner = [option for option in get_args(wanted) if option is not type(None)]
        return None if value is None else _convert(value, inner[0], where)
    if is_dataclass(wanted):
        return _object(value, wanted, where)
    if origin is list:
        _expect(value, list, where)
        (item,) = get_args(wanted)
        return [_convert(each, item, f"{where}[{index}]") for index, each in enumerate(value)]
    if origin is dict:
        _expect(value, dict, where)
        return {key: _convert(each, get_args(wanted)[1], _below(where, key)) for key, each in value.items()}
    _expect(value, wanted, where)
    return value


def _object(value: Any, shape: Any, where: str) -> Any:
    _expect(value, dict, where)
    hints = _hints(shape)
    arguments: dict[str, Any] = {}
    for spec in fields(shape):
        name = spec.metadata.get("name", spec.name)
        if value.get(name) is not None:
            arguments[spec.name] = _convert(value[name], hints[spec.name], _below(where, name))
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise Unprocessable(f"{_below(where, name)} in body is required")
    return shape(**arguments)


def _expect(value: Any, wanted: type, where: str) -> None:
    number = wanted in {int, float} and isinstance(value, (int, float)) and not isinstance(value, bool)
    whole = number and (wanted is float or (float(value).is_integer() and abs(value) < 2**63))
    if whole or (wanted not in {int, float} and isinstance(value, wanted)):
        return
    raise Unprocessable(f"{where or 'body'} in body must be of type {_NAMES[wanted]}")


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
