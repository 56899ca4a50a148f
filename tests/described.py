"""Holds answers of the REST API against the OpenAPI document: whatever a test sees has to be described."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs
from django.urls import Resolver404

from harborsite.api import openapi

_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")


def check(answer: Any) -> None:
    """Raise AssertionError if the answer to a request of Django's test client is not one of the document's."""
    try:
        match = getattr(answer, "resolver_match", None)
        if match is None or not match.route.startswith("api/v2.0/"):
            return
    except Resolver404:
        return  # an address that there is not
    path = "/" + _CONVERTED.sub(r"{\1}", match.route.removeprefix("api/v2.0/"))
    method = answer.wsgi_request.method.lower()
    operation = openapi.document()["paths"][path].get(method)
    if operation is None:
        assert answer.status_code in {403, 404, 405} or method == "head", f"{method} {path} is not in the document"
        return
    where = f"{method.upper()} {path} answered {answer.status_code}"
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, f"{where}, which is not in the document"
    if answer.streaming or method == "head":
        return
    content = described.get("content", {}).get("application/json")
    if not answer.content:
        assert content is None or "x-may-be-empty" in described, f"{where} nothing"
    elif content is not None:
        found = next(_validator(json.dumps(content["schema"])).iter_errors(json.loads(answer.content)), None)
        assert found is None, f"{where} otherwise than described: {found}"
    else:
        assert "content" in described, f"{where} with a body, and none is described"


@cache
def _validator(schema: str) -> Any:
    """One for each shape: to make it costs more than to use it a hundred times."""
    document = {**json.loads(schema), "components": {"schemas": openapi.document()["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True)
