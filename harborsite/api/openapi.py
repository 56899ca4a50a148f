"""The OpenAPI document of what is really served: read from the routes and the views behind them, never written down.

A view's docstring is its description. What its methods ask for, read and refuse is found in their code (`derivation`),
what they answer in their return annotations (`answers`, `schemas`).
"""

from __future__ import annotations

import inspect
import json
import re
import threading
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Never, Union, get_args, get_origin, get_type_hints

from django.urls import URLPattern, URLResolver, get_resolver

from harborsite import __version__
from harborsite.api import answers, derivation, paging
from harborsite.api.derivation import Asked
from harborsite.api.schemas import Schema, schema
from harborsite.errors import AppError, BadRequest, Unprocessable

PREFIX = "/api/v2.0"
METHODS = ("get", "head", "post", "put", "patch", "delete")
REQUEST_ID = {"name": "X-Request-Id", "in": "header", "schema": {"type": "string", "maxLength": 128}}
_making = threading.Lock()
_CONVERTED = re.compile(r"<(?:(\w+):)?(\w+)>")
_BOUNDS = {"page_size": {"maximum": paging.MAX_SIZE}}
# What stands in front of every view: a query with a semicolon, an odd Accept, and a fault of ours.
_ANYWHERE: frozenset[type[AppError]] = frozenset({BadRequest, Unprocessable, AppError})


def document() -> Schema:
    """The whole document; whoever asks while it is made waits for that."""
    with _making:
        return _document()


@cache
def _document() -> Schema:
    """Made once: the routes of a process do not change."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for path, view in _routes(get_resolver()):
        if path.startswith(f"{PREFIX}/"):
            shown = _CONVERTED.sub(r"{\2}", path.removeprefix(PREFIX))
            paths[shown] = _path_item(path, view, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Harborsite", "version": __version__, "description": "Harbor's REST API v2.0."},
        "servers": [{"url": PREFIX}],
        "security": [{"basic": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "parameters": {"requestId": REQUEST_ID},
            "schemas": {**_ERRORS, **dict(sorted(schemas.items()))},
        },
    }


_ERRORS: dict[str, Schema] = {
    "Errors": {
        "type": "object",
        "required": ["errors"],
        "properties": {"errors": {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}},
    },
    "Error": {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "detail": {}},
    },
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
    item: Schema = {"parameters": [*in_path, {"$ref": "#/components/parameters/requestId"}]}
    actions: Mapping[str, str] = getattr(view, "actions", {})
    for method in METHODS:
        if method.upper() in actions and hasattr(view, method):
            item[method] = _operation(path, view, method, schemas)
    return item


def _operation(path: str, view: Any, method: str, schemas: dict[str, Schema]) -> Schema:
    function = getattr(view, method)
    found = derivation.contract(view, "authorise", method)
    responses = _refusals(_ANYWHERE | _of_signing_in(*view.authentication_classes) | found.refusals)
    for status, answered in _answers(function, schemas).items():
        responses[status] = {**answered, **responses.get(status, {})}
    operation: Schema = {
        "operationId": f"{method}{view.__name__.removesuffix('View')}",
        "tags": [path.removeprefix(f"{PREFIX}/").partition("/")[0]],
        "responses": dict(sorted(responses.items())),
    }
    if text := inspect.getdoc(function) or inspect.getdoc(view):
        operation["description"] = text
    if found.asked:
        asked = sorted(found.asked.values(), key=lambda each: (each.place, each.name))
        operation["parameters"] = [_parameter(each) for each in asked]
    if found.body is not None:
        read = schema(found.body, schemas)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": read}}}
    return operation


@cache
def _of_signing_in(*ways: type) -> frozenset[type[AppError]]:
    """What these ways of signing in may refuse, whoever asks and for what."""
    found = (derivation.contract(way, "authenticate") for way in ways)
    return frozenset(refusal for each in found for refusal in each.refusals)


def _parameter(asked: Asked) -> Schema:
    shape: Schema = {"type": asked.type, **_BOUNDS.get(asked.name, {})}
    if asked.type == "array":
        shape["items"] = {"type": "string"}
    if asked.default not in {None, ""}:
        shape["default"] = asked.default
    return {"name": asked.name, "in": asked.place, "required": asked.required, "schema": shape}


def _answers(function: Any, schemas: dict[str, Schema]) -> dict[str, Schema]:
    """What the return annotation names; a method that never succeeds has none."""
    annotated: Any = get_type_hints(function).get("return")
    options: list[Any] = [] if annotated is Never else [annotated]
    if get_origin(annotated) in {Union, types.UnionType}:
        options = list(get_args(annotated))
    responses: dict[str, Schema] = {}
    for option in options:
        kind: Any = get_origin(option) or option
        if not hasattr(kind, "documented_status"):
            raise TypeError(f"{function.__qualname__} has to say what it answers: {option} is no kind of answer")
        response = responses.setdefault(str(kind.documented_status), {"description": str(inspect.getdoc(kind))})
        if named := getattr(kind, "documented_headers", ()):
            response["headers"] = {name: {"schema": {"type": "string"}} for name in named}
        if kind in {answers.Nothing, answers.Refused}:
            response["x-may-be-empty"] = True
        if content := _content(kind, get_args(option), schemas):
            response["content"] = content
    return responses


def _content(kind: type, arguments: tuple[Any, ...], schemas: dict[str, Schema]) -> Schema:
    if issubclass(kind, answers.Paged):
        return {"application/json": {"schema": {"type": "array", "items": schema(arguments[0], schemas)}}}
    if issubclass(kind, answers.Answer):
        return {"application/json": {"schema": schema(arguments[0], schemas)}}
    if issubclass(kind, answers.Text):
        return {"text/plain": {"schema": {"type": "string"}}}
    return {"*/*": {}} if issubclass(kind, answers.Content) else {}


def _refusals(raised: frozenset[type[AppError]] | set[type[AppError]]) -> dict[str, Schema]:
    codes: dict[int, set[str]] = {}
    for each in raised:
        codes.setdefault(each.status, set()).add(each.code)
    envelope = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    return {
        str(status): {"description": ", ".join(sorted(codes[status])), "content": envelope} for status in sorted(codes)
    }


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
                        "parameters": [*item["parameters"][:-1], *operation.get("parameters", [])],
                        "responses": operation["responses"],
                        "body": _example(operation.get("requestBody", {}), whole["components"]["schemas"]),
                        "answer": _example(_success(operation), whole["components"]["schemas"]),
                    }
                )
    return sorted(groups.items())


def _success(operation: Schema) -> Schema:
    found: Iterator[Schema] = (response for status, response in operation["responses"].items() if status < "300")
    return next(found, {})


def _example(content: Schema, schemas: Mapping[str, Schema]) -> str:
    """What a body or an answer looks like."""
    json_content = content.get("content", {}).get("application/json")
    return json.dumps(_filled(json_content["schema"], schemas), indent=2) if json_content else ""


def _filled(shape: Schema, schemas: Mapping[str, Schema]) -> Any:
    if "$ref" in shape:
        return _filled(schemas[shape["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in shape:
        return _filled(shape["anyOf"][0], schemas)
    if "enum" in shape:
        return shape["enum"][0]
    kind = shape.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: _filled(each, schemas) for name, each in shape.get("properties", {}).items()}
        case "array":
            return [_filled(shape["items"], schemas)]
        case plain:
            return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(str(plain))
