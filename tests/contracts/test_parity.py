"""The operations of Harbor's own interface description against the OpenAPI document of what is served here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from django.test import Client

from harborsite.api import openapi

OPERATIONS = Path(__file__).parent / "harbor-operations.txt"

# What is not served, by the start of its path, and why.
NOT_SERVED = {
    "/ldap": "directories come with their own sign-in source",
    "/system/oidc": "identity providers come with their own sign-in source",
    "/scanners": "no scanner can be registered yet",
    "/p2p/preheat/instances": "no provider can be registered yet",
    "/projects/{}/preheat/policies": "no provider can be registered yet",
}


def nameless(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def served() -> set[tuple[str, str]]:
    paths = openapi.document()["paths"]
    return {
        (method.upper(), nameless(path)) for path, item in paths.items() for method in item if method != "parameters"
    }


def test_every_operation_of_harbor_is_served_or_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [line.split()[:2] for line in OPERATIONS.read_text().splitlines()]
    ours = served()
    missing = [(method, nameless(path)) for method, path in wanted if (method, nameless(path.rstrip("/"))) not in ours]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(wanted) - len(missing)} of {len(wanted)} operations of Harbor's interface are served\n"
        )
    unexplained = [entry for entry in missing if not any(entry[1].startswith(start) for start in NOT_SERVED)]
    assert not unexplained
    assert all(any(path.startswith(start) for _, path in missing) for start in NOT_SERVED), "a reason is out of date"


def test_the_document_describes_bodies_and_parameters() -> None:
    document = openapi.document()
    create = document["paths"]["/projects"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("ProjectRequest")
    assert "201" in create["responses"]
    listed = {parameter["name"] for parameter in document["paths"]["/projects"]["get"]["parameters"]}
    assert {"page", "page_size", "q", "sort", "name", "public", "owner", "with_detail"} <= listed
    identifiers = [operation["operationId"] for item in document["paths"].values() for key, operation in item.items()
                   if key != "parameters"]  # fmt: skip
    assert sorted(set(identifiers)) == sorted(identifiers)
    text = str(document)
    for reference in re.findall(r"#/components/schemas/([\w.]+)", text):
        assert reference in document["components"]["schemas"]


def test_the_document_and_its_page_are_there_for_everybody(db: None) -> None:
    assert Client().get("/api/v2.0/swagger.json").json()["openapi"] == "3.0.3"
    page = Client().get("/devcenter-api-2.0", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert b"/api/v2.0/projects/{project_name_or_id}" in page.content
    assert b"http://" not in page.content.replace(b"http://www.w3.org", b"")
