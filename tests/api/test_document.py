"""The OpenAPI document is true: what keeps it so is itself put to the test."""

from __future__ import annotations

import json
from typing import Any, NotRequired, TypedDict

import pytest
from rest_framework.request import Request

from harborsite.api import body, derivation, parameters
from harborsite.api.answers import Answer
from harborsite.api.schemas import schema
from harborsite.errors import BadRequest, Conflict, NotFound, TooLarge, Unauthorized, Unprocessable
from projects.api.projects import ProjectRequest
from projects.models import Project
from tests import described
from tests.api.calls import get
from tests.factories import client_for


class Part(TypedDict):
    name: str
    parent: NotRequired[str | None]


class Whole(TypedDict):
    parts: list[Part] | None


def _find(request: Request) -> str:
    if request.GET.get("kind") == "none":
        raise NotFound
    return parameters.required(request, "name")


class View:
    """Asks, reads and refuses in every way that is seen."""

    @property
    def found(self) -> str:
        raise Unauthorized

    def get(self, request: Request) -> Answer[Whole]:
        try:
            _find(request)
        except NotFound:
            raise BadRequest from None
        with_parts = parameters.flag(request, "with_parts", True)
        if with_parts and self.found and request.headers.get("X-Kind"):
            raise Conflict
        return Answer({"parts": None})

    def post(self, request: Request) -> Answer[Whole]:
        body.read(request, ProjectRequest)
        return Answer({"parts": []})


def test_what_a_method_asks_for_reads_and_refuses_is_found_in_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(derivation, "OURS", derivation.OURS | {"tests"})
    found = derivation.contract(View, "get")
    assert found.refusals == {BadRequest, Conflict, Unauthorized, Unprocessable}
    asked = {(each.place, each.name, each.type, each.required, each.default) for each in found.asked.values()}
    assert asked == {
        ("query", "kind", "string", False, None),
        ("query", "name", "string", True, None),
        ("query", "with_parts", "boolean", False, True),
        ("header", "X-Kind", "string", False, None),
    }
    reading = derivation.contract(View, "post")
    assert reading.body is ProjectRequest
    assert reading.refusals == {Unprocessable, TooLarge}


def test_a_shape_is_described_with_its_open_and_empty_members() -> None:
    known: dict[str, Any] = {}
    assert schema(Whole, known)["$ref"].endswith("Whole")
    assert known["test_document.Part"] == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parent": {"type": ["string", "null"]}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert known["test_document.Whole"]["properties"]["parts"]["type"] == ["array", "null"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"secret": "x"}, "secret"),
        ({"project_id": "1"}, "integer"),
        ({"creation_time": "yesterday"}, "date-time"),
        ({"name": None}, "string"),
    ],
)
def test_an_answer_that_is_not_described_fails_the_test_that_sees_it(
    library: Project, change: dict[str, Any], complaint: str
) -> None:
    answer = get(client_for(library.owner), "/projects/library")
    answer.content = json.dumps({**answer.json(), **change})
    with pytest.raises(AssertionError, match=complaint):
        described.check(answer)


def test_a_status_that_is_not_described_fails_the_test_that_sees_it(library: Project) -> None:
    answer = get(client_for(library.owner), "/projects/library")
    answer.status_code = 418
    with pytest.raises(AssertionError, match="418"):
        described.check(answer)
