"""JSON Schemas of the shapes of bodies: of dataclasses, which are read, and of TypedDicts, which are answered."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from harborsite.api.answers import Format

Schema = dict[str, Any]
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
}


def schema(wanted: Any, known: dict[str, Schema]) -> Schema:
    """The schema of a type; shapes with a name are put into `known` and referred to."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is NotRequired:
        return schema(arguments[0], known)
    if origin is Annotated:
        (named,) = (each.name for each in arguments[1:] if isinstance(each, Format))
        return {**schema(arguments[0], known), "format": named}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return _union(arguments, known)
    if is_dataclass(wanted) or is_typeddict(wanted):
        return _named(wanted, known)
    if origin in {list, tuple}:
        return {"type": "array", "items": schema(arguments[0], known)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(arguments[1], known)}
    return dict(_PLAIN.get(wanted, {}))


def _union(options: tuple[Any, ...], known: dict[str, Schema]) -> Schema:
    found = [schema(option, known) for option in options if option is not types.NoneType]
    if types.NoneType not in options:
        return {"anyOf": found}
    if len(found) == 1 and isinstance(found[0].get("type"), str):
        return {**found[0], "type": [found[0]["type"], "null"]}
    return {"anyOf": [*found, {"type": "null"}]} if all(found) else {}


def _named(shape: Any, known: dict[str, Schema]) -> Schema:
    """A reference to the shape; shapes of one name are told apart by their module."""
    name = f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}"
    if name not in known:
        known[name] = {}  # a shape may hold itself
        known[name] = _of_dataclass(shape, known) if is_dataclass(shape) else _of_typed_dict(shape, known)
    return {"$ref": f"#/components/schemas/{name}"}


def _of_dataclass(shape: Any, known: dict[str, Schema]) -> Schema:
    """What is read: a member may be null where it has a default."""
    hints = get_type_hints(shape, include_extras=True)
    properties, needed = {}, []
    for spec in fields(shape):
        name = spec.metadata.get("name", spec.name)
        properties[name] = schema(hints[spec.name], known)
        if spec.default is MISSING and spec.default_factory is MISSING:
            needed.append(name)
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _of_typed_dict(shape: Any, known: dict[str, Schema]) -> Schema:
    """What is answered: these members and no others."""
    hints = get_type_hints(shape, include_extras=True)
    properties = {name: schema(hint, known) for name, hint in hints.items()}
    needed = [name for name, hint in hints.items() if get_origin(hint) is not NotRequired]
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": needed} if needed else {})
