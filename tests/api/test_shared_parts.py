"""What every resource of the REST API has in common: q, sort, pages, bodies, the envelope, read-only mode."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from harborsite.api import query
from harborsite.api.query import AllOf, AnyOf, Exact, Fuzzy, Range
from harborsite.errors import BadRequest
from projects import params
from projects.models import Project, User
from tests.api.calls import API, get, names, post, put
from tests.factories import client_for, error_code, make_project


@pytest.fixture
def boss(admin: User) -> Client:
    return client_for(admin)


@pytest.fixture
def many(alice: User) -> list[Project]:
    return [make_project(f"p{number:02}", alice, public=number % 2 == 0) for number in range(25)]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("k=v", Exact("v")),
        ("k=a=b", Exact("a=b")),
        ("k=~v", Fuzzy("v")),
        ("k=\\~v", Exact("~v")),
        ("k=[1~9]", Range("1", "9")),
        ("k=[~9]", Range("", "9")),
        ("k={a 'b c' d}", AnyOf(("a", "'b", "c'", "d"))),
        ("k=(1 2)", AllOf(("1", "2"))),
        ("k=a%2520b", Exact("a%20b")),
        ("k=a+b", Exact("a b")),
        ("k=100%", Exact("100%")),
    ],
)
def test_each_operator_of_q_is_read(text: str, term: query.Term) -> None:
    assert query.parse(text) == {"k": term}


@pytest.mark.parametrize("text", ["k", "=v", "k=", "k=~", "k=[1~2~3]", "k=[1]", "k=[~]", "k={}", "k={a", "a=1,b"])
def test_a_malformed_q_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        query.parse(text)


@given(st.text(max_size=60))
def test_no_q_breaks_the_parser(text: str) -> None:
    """Whatever is written, it is either terms or a refusal."""
    with contextlib.suppress(BadRequest):
        query.parse(text)


def test_filters_narrow_and_unknown_keys_mean_nothing(boss: Client, many: list[Project]) -> None:
    assert names(get(boss, "/projects", q="name=~P0", page_size=3)) == ["p00", "p01", "p02"]
    assert names(get(boss, "/projects", q="name={p03 p05}")) == ["p03", "p05"]
    assert names(get(boss, "/projects", q="name__icontains=p24")) == ["p24"]
    assert names(get(boss, "/projects", q="nothing=1,name=p07")) == ["p07"]
    assert names(get(boss, "/projects", q=f"ProjectID=[{many[23].pk}~]")) == ["p23", "p24"]
    assert names(get(boss, "/projects", q="creation_time=[~2000-01-01T00:00:00]")) == []
    assert get(boss, "/projects", q="public=perhaps").status_code == 400


def test_the_order_is_what_is_asked_for(boss: Client, many: list[Project]) -> None:
    assert names(get(boss, "/projects", sort="-name", page_size=2)) == ["p24", "p23"]
    assert names(get(boss, "/projects", sort="public,-name", page_size=1)) == ["p23"]
    assert names(get(boss, "/projects", sort="owner__password", page_size=1)) == ["p00"]


def test_pages_lead_to_their_neighbours(boss: Client, many: list[Project]) -> None:
    middle = get(boss, "/projects", page=2, page_size=10, q="name=~p")
    assert middle["X-Total-Count"] == "25"
    assert middle["Link"] == (
        f'<{API}/projects?page=1&page_size=10&q=name=~p>; rel="prev" , '
        f'<{API}/projects?page=3&page_size=10&q=name=~p>; rel="next"'
    )
    assert len(get(boss, "/projects", page_size=0).json()) == 25
    assert get(boss, "/projects", page=9).json() == []
    assert "Link" not in get(boss, "/projects", page_size=100)


@pytest.mark.parametrize("wrong", [{"page_size": "101"}, {"page": "x"}, {"page_size": "1e3"}, {"page": "9" * 30}])
def test_a_page_that_can_not_be_is_422(boss: Client, wrong: dict[str, str]) -> None:
    answer = get(boss, "/projects", **wrong)
    assert (answer.status_code, error_code(answer)) == (422, "UNPROCESSABLE_ENTITY")


@pytest.mark.parametrize(
    "raw",
    ["", "{", "[]", "5", '"x"', '{"project_name": 5}', '{"metadata": []}', '{"storage_limit": 1e99}', "[" * 100_000,
     '{"project_name": "a", "storage_limit": NaN}'],
)  # fmt: skip
def test_a_body_of_the_wrong_shape_is_422(boss: Client, raw: str) -> None:
    answer = boss.post(f"{API}/projects", raw, content_type="application/json")
    assert (answer.status_code, error_code(answer)) == (422, "UNPROCESSABLE_ENTITY")


def test_a_body_that_is_too_large_is_413(boss: Client) -> None:
    raw = '{"project_name": "' + "a" * (5 * 1024 * 1024) + '"}'
    assert boss.post(f"{API}/projects", raw, content_type="application/json").status_code == 413


def test_unknown_members_of_a_body_are_dropped(boss: Client) -> None:
    assert post(boss, "/projects", {"project_name": "tools", "nothing": {"a": [1]}}).status_code == 201


def test_slips_in_the_path_are_mended(boss: Client) -> None:
    for path in ("/api/v2.0/ping/", "/api//v2.0///ping", "/api/v2.0/ping"):
        assert Client().get(path).content == b"Pong"


def test_what_is_not_there_is_told_in_the_envelope(boss: Client) -> None:
    for path, status in (("/api/v2.0/nothing", 404), ("/api/v1.0/ping", 404), ("/api", 404)):
        answer = boss.get(path)
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/json; charset=utf-8"
    answer = boss.delete("/api/v2.0/ping")
    assert (answer.status_code, error_code(answer)) == (405, "METHOD_NOT_ALLOWED")


def test_every_answer_has_a_request_id(boss: Client) -> None:
    assert boss.get(f"{API}/ping", headers={"X-Request-Id": "mine-1"})["X-Request-Id"] == "mine-1"
    forged = boss.get(f"{API}/ping", headers={"X-Request-Id": "a" * 200})["X-Request-Id"]
    assert len(forged) == 36


def test_read_only_mode_lets_only_its_own_end_through(boss: Client, library: Project) -> None:
    assert put(boss, "/configurations", {"read_only": True}).status_code == 200
    params.forget()  # what a commit does, which the tests' own transaction never makes
    refused = post(boss, "/projects", {"project_name": "tools"})
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert get(boss, "/projects").status_code == 200
    assert put(boss, "/configurations", {"read_only": False}).status_code == 200
    params.forget()
    assert post(boss, "/projects", {"project_name": "tools"}).status_code == 201


def test_a_number_for_a_name_needs_the_header(boss: Client, alice: User) -> None:
    project = make_project("2026", alice)
    assert get(boss, "/projects/2026").status_code == 404
    named = boss.get(f"{API}/projects/2026", headers={"X-Is-Resource-Name": "true"})
    assert named.json()["project_id"] == project.pk


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/projects", 8),
        ("/users", 4),
        ("/quotas", 4),
        ("/auditlog-exts", 4),
        ("/robots", 4),
        ("/labels?scope=g", 4),
        ("/repositories", 5),
        ("/search?q=p", 7),
        ("/statistics", 9),
    ],
)
def test_lists_cost_the_same_however_long_they_are(
    boss: Client, many: list[Project], path: str, most: int, django_assert_max_num_queries: Any
) -> None:
    get(boss, "/ping")
    params.get(params.READ_ONLY)
    with django_assert_max_num_queries(most):
        assert boss.get(f"{API}{path}").status_code == 200
