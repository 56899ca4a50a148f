"""Whatever is sent to whatever route, the answer is never a fault of ours; and only those who may get further."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from harborsite.api import openapi
from projects.models import Project, User
from tests.api.calls import API
from tests.factories import client_for, push
from tests.images import image

# Each of these stands once in every place of every address.
ODD_PARTS = ["0", "-1", "9" * 20, "nothing", "1", "library", "%00", "a%252Fb", "..", "'\"", "sha256:0", "界"]
USUAL = {"{project_name_or_id}": "library", "{repository_name}": "alpine", "{reference}": "v1"}
ODD_QUERIES = [
    "page=-5&page_size=-5",
    "q=" + quote("id=[1~99999999999999999999]"),
    "q=" + quote("id={1 2},name=~\x00,creation_time=x"),
    "q=" + quote("name={},=,~"),
    "sort=-id,,name,--x&q=" + quote("id=9223372036854775807"),
    "scope=p&project_id=99999999999&username=%00&q=a%00",
    "reference_id=x&from=a@b&policy_id=x&scope=/project/99999999999999999999",
]
ODD_BODIES: list[Any] = [
    None,
    [],
    "text",
    {"name": "\x00", "project_name": "\x00", "username": "\x00"},
    dict.fromkeys(("id", "project_id", "role_id", "duration", "expires_at", "storage_limit", "user_id"), 2 ** 62),
    {"name": "x", "scope": "p", "project_id": 2**62, "schedule": {"type": "Custom", "cron": "0 * * * * * *"}},
    {"permissions": [{"kind": "project", "namespace": "*", "access": [{}]}], "level": "system", "duration": 1,
     "name": "a"},
    {"rules": [{"tag_selectors": [{}], "scope_selectors": {"repository": []}}], "scope": {"level": "project", "ref": 1},
     "tag_selectors": [{}], "scope_selectors": {"x": [{}]}, "hard": {"storage": 2**62}, "metadata": {"public": "x"}},
]  # fmt: skip


def operations() -> Iterator[tuple[str, str]]:
    for path, item in openapi.document()["paths"].items():
        for method in item.keys() - {"parameters"}:
            yield method, path


def with_usual(path: str) -> str:
    return re.sub(r"\{\w+\}", lambda found: USUAL.get(found[0], "1"), path)


def filled(path: str) -> Iterator[str]:
    holes = re.findall(r"\{\w+\}", path)
    for part in ODD_PARTS if holes else ["-"]:
        for hole in holes:
            yield with_usual(path.replace(hole, "\0")).replace("\0", part)
        if not holes:
            yield path


@pytest.fixture
def furnished(library: Project, admin: User) -> Client:
    """The administrator's client, with an image to stumble over; refusals do not raise but are answers."""
    push(client_for(library.owner), "library/alpine:v1", image("odd"))
    client = client_for(admin)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete"])
def test_no_request_is_answered_with_a_fault(furnished: Client, method: str) -> None:
    faults = []
    for _, path in (each for each in operations() if each[0] == method):
        for address in filled(path):
            queries = ODD_QUERIES if method == "get" else [""]
            for query in queries:
                for body in [None] if method in {"get", "head", "delete"} else ODD_BODIES:
                    answer = furnished.generic(
                        method.upper(),
                        f"{API}{address}{'?' if query else ''}{query}",
                        json.dumps(body) if body is not None else "",
                        content_type="application/json",
                    )
                    if answer.status_code >= 500:
                        faults.append(f"{method} {address} {query} {body}: {answer.content[:200]!r}")
    assert not faults, "\n".join(faults[:20])


# Where a visitor gets an answer, or is told first what is wrong with the request.
FOR_VISITORS = {
    "/health", "/icons/{digest}", "/labels", "/labels/{label_id}", "/ping", "/projects", "/repositories", "/search",
    "/statistics", "/swagger.json", "/systeminfo", "/systeminfo/getcert", "/users", "/robots",
}  # fmt: skip


def test_visitors_get_nothing_of_a_private_project(library: Project, furnished: Client) -> None:
    answered = set()
    for method, path in operations():
        address = f"{API}{with_usual(path)}"
        answer = Client().generic(method.upper(), address, "{}", content_type="application/json")
        if answer.status_code not in {401, 403}:
            answered.add(path)
    assert answered <= FOR_VISITORS
