"""Requests that are made out of the OpenAPI document, by the thousand: none is answered with a fault of ours, and
every answer is one that the document describes (`tests/conftest.py` looks at each).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok

from harborsite.api import openapi
from projects import params
from projects.models import Project, User
from tests.api.calls import API
from tests.factories import client_for, make_robot, push
from tests.images import image

EXAMPLES = 4  # of each operation, for each who asks
QUICK = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def there(library: Project, bob: User) -> dict[str, Any]:
    """What there is to stumble over, by the names of path parameters; half of the requests are about it."""
    push(client_for(library.owner), "library/alpine:v1", image("generated"))
    return {
        "project_name_or_id": "library",
        "repository_name": "alpine",
        "reference": "v1",
        "tag_name": "v1",
        "user_id": bob.pk,
        "robot_id": make_robot("ci", project=library).pk,
        "mid": library.members.get(user=bob).pk,
        "meta_name": "auto_scan",
        "addition": "build_history",
    }


def ask(client: Client, case: Any) -> Any:
    """Send it, and take back what it did."""
    query = {key: value for key, value in (case.query or {}).items() if value is not None}
    headers = {key: value for key, value in (case.headers or {}).items() if str(value).isprintable()}
    content = b"" if case.body is NOT_SET else json.dumps(case.body).encode()
    with transaction.atomic():
        answer = client.generic(
            case.method,
            f"{API}{case.formatted_path}",
            content,
            content_type="application/json",
            query_params=query,
            headers=headers,
        )
        transaction.set_rollback(True)
    params.forget()
    return answer


@pytest.mark.parametrize("who", ["administrator", "owner"])
def test_no_request_of_the_document_breaks_the_server(
    admin: User, library: Project, there: dict[str, Any], who: str
) -> None:
    client = client_for(admin if who == "administrator" else library.owner)
    client.raise_request_exception = False
    asked = 0
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @QUICK
        @given(case=operation.as_strategy(), known=st.booleans())
        def every_answer_is_sound(case: Any, known: bool) -> None:
            nonlocal asked
            asked += 1
            if known:
                case.path_parameters |= {name: there[name] for name in case.path_parameters if name in there}
            answer = ask(client, case)
            assert answer.status_code < 500, f"{case.method} {case.formatted_path} {case.query} {case.body}"

        every_answer_is_sound()
    assert asked > 100 * EXAMPLES
