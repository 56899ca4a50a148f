"""The OpenAPI document of what is really served: read from the routes and the views behind them, never written down.

A view's docstring is its description. The shape of a body is the one that the method reads, and a query parameter is
one that the view asks for; both are found in the view's own source, so that they cannot fall behind it.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from django.urls import URLPattern, URLResolver, get_resolver

from harborsite import __version__

PREFIX = "/api/v2.0"
METHODS = ("get", "head", "post", "put", "patch", "delete")
_CONVERTED = re.compile(r"<(?:(\w+):)?(\w+)>")
_BODY = re.compile(r"body\.read\(request, (\w+)\)")
_ASKED = re.compile(r"""(?:parameters\.(number|flag|required)\(request, |request\.GET\.get(?:list)?\()"(\w+)\"""")
_KINDS = {"number": "integer", "flag": "boolean", "required": "string", "": "string"}
_PLAIN = {str: "string", int: "integer", bool: "boolean", float: "number"}
_ERROR = {"$ref": "#/components/responses/Error"}
Schema = dict[str, Any]


@cache
def document() -> Schema:
    """The whole document; the routes of a process do not change."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for path, view in _routes(get_resolver()):
        if path.startswith(f"{PREFIX}/"):
            shown = _CONVERTED.sub(r"{\2}", path.removeprefix(PREFIX))
            paths[shown] = _path_item(path, view, schemas)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Harborsite", "version": __version__, "description": "Harbor's REST API v2.0."},
        "servers": [{"url": PREFIX}],
        "security": [{"basic": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {**_ERRORS, **dict(sorted(schemas.items()))},
            "responses": {"Error": _ERROR_RESPONSE},
        },
    }


_ERRORS: dict[str, Schema] = {
    "Errors": {
        "type": "object",
        "properties": {"errors": {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}},
    },
    "Error": {
        "type": "object",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "detail": {}},
    },
}
_ERROR_RESPONSE: Schema = {
    "description": "A refusal, with its code and why.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}},
}


def _routes(resolver: URLResolver, before: str = "/") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, path)
        elif isinstance(entry, URLPattern) and hasattr(entry.callback, "cls"):
            yield path, entry.callback.cls


def _path_item(path: str, view: Any, schemas: dict[str, Schema]) -> Schema:
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "format": "int64"} if kind == "number" else {"type": "string"},
        }
        for kind, name in _CONVERTED.findall(path)
    ]
    item: Schema = {"parameters": in_path} if in_path else {}
    actions: Mapping[str, str] = getattr(view, "actions", {})
    for method in METHODS:
        if method.upper() in actions and hasattr(view, method):
            item[method] = _operation(path, view, method, schemas)
    return item


def _operation(path: str, view: Any, method: str, schemas: dict[str, Schema]) -> Schema:
    function = getattr(view, method)
    source = inspect.getsource(function)
    operation: Schema = {
        "operationId": f"{method}{view.__name__.removesuffix('View')}",
        "tags": [path.removeprefix(f"{PREFIX}/").partition("/")[0]],
        "responses": {("201" if "created(" in source or "status=201" in source else "200"): {"description": "Done."}},
    }
    operation["responses"]["default"] = _ERROR
    if text := inspect.getdoc(function) or inspect.getdoc(view):
        operation["description"] = text
    if asked := _query_parameters(view, method, source):
        operation["parameters"] = asked
    if read := _BODY.search(source):
        shape = getattr(sys.modules[function.__module__], read[1])
        schema = _schema(shape, schemas)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _query_parameters(view: Any, method: str, source: str) -> list[Schema]:
    """Those that the method asks for, or what it calls in its own class and module."""
    called = [getattr(view, name, None) for name in re.findall(r"self\.(\w+)\(", source)]
    module = sys.modules[getattr(view, method).__module__]
    called += [getattr(module, name, None) for name in re.findall(r"(?<![\w.])(_\w+|filtered)\(", source)]
    text = source + "".join(inspect.getsource(each) for each in called if inspect.isfunction(each))
    found: dict[str, Schema] = {name: {"type": _KINDS[kind]} for kind, name in _ASKED.findall(text)}
    if method == "get" and re.search(r"paged\w*\(|Page\.of\(", text):
        found |= {"page": {"type": "integer"}, "page_size": {"type": "integer", "maximum": 100}}
    wanted = {name for kind, name in _ASKED.findall(text) if kind == "required"}
    return [
        {"name": name, "in": "query", "required": name in wanted, "schema": schema}
        for name, schema in sorted(found.items())
    ]


def _schema(wanted: Any, schemas: dict[str, Schema]) -> Schema:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in {Union, types.UnionType}:
        (inner,) = (each for each in arguments if each is not type(None))
        return {**_schema(inner, schemas), "nullable": True}
    if is_dataclass(wanted):
        return _object(wanted, schemas)
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], schemas)}
    return {"type": _PLAIN[wanted]} if wanted in _PLAIN else {}


def _object(shape: Any, schemas: dict[str, Schema]) -> Schema:
    """A reference to the shape, which is described once; shapes of one name are told apart by their module."""
    name = f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}"
    if name not in schemas:
        schemas[name] = {}
        hints = get_type_hints(shape)
        properties = {
            spec.metadata.get("name", spec.name): _schema(hints[spec.name], schemas) for spec in fields(shape)
        }
        needed = [
            spec.metadata.get("name", spec.name)
            for spec in fields(shape)
            if spec.default is MISSING and spec.default_factory is MISSING
        ]
        schemas[name] = {"type": "object", "properties": properties, **({"required": needed} if needed else {})}
    return {"$ref": f"#/components/schemas/{name}"}


def grouped() -> list[tuple[str, list[Schema]]]:
    """The operations for a page: by the first part of their path, each with its example body as text."""
    groups: dict[str, list[Schema]] = {}
    whole = document()
    for path, item in whole["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                groups.setdefault(operation["tags"][0], []).append(
                    {
                        "method": method,
                        "path": PREFIX + path,
                        "description": operation.get("description", ""),
                        "parameters": [*item.get("parameters", []), *operation.get("parameters", [])],
                        "body": _example(operation, whole["components"]["schemas"]),
                    }
                )
    return sorted(groups.items())


def _example(operation: Schema, schemas: Mapping[str, Schema]) -> str:
    if "requestBody" not in operation:
        return ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return json.dumps(_filled(schema, schemas), indent=2)


def _filled(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    if "$ref" in schema:
        return _filled(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    match schema.get("type"):
        case "object":
            return {name: _filled(each, schemas) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [_filled(schema["items"], schemas)]
        case kind:
            return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(str(kind))
