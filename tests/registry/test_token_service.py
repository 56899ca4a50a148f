"""`GET /service/token`: who is given which token."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from django.test import Client

from projects.models import Project, Setting, User
from projects.permissions import Role
from registry.auth import tokens
from registry.models import Repository
from tests.factories import ClientFor, add, basic, grant, make_project, make_robot, make_user

SERVICE = "harbor-registry"


def ask(client: Client, *scopes: str) -> Any:
    return client.get("/service/token", {"service": SERVICE, "scope": list(scopes)})


def claims(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.content
    public = tokens.signing_key().public_key()
    read: dict[str, Any] = jwt.decode(answer.json()["token"], public, algorithms=["RS256"], audience=SERVICE)
    return read


def granted(answer: Any) -> list[list[str]]:
    return [entry["actions"] for entry in claims(answer)["access"]]


def test_the_answer_and_the_claims_are_harbors(client_for: ClientFor, library: Project, bob: User) -> None:
    answer = ask(client_for(bob), "repository:library/app:pull,push")
    body = answer.json()
    assert answer["Content-Type"] == "application/json; charset=utf-8"
    assert body.keys() == {"token", "access_token", "expires_in", "issued_at"}
    assert (body["access_token"], body["expires_in"], len(body["issued_at"])) == ("", 1800, 20)
    header = jwt.get_unverified_header(body["token"])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": tokens.key_id()}
    assert [len(group) for group in header["kid"].split(":")] == [4] * 12
    read = claims(answer)
    assert (read["iss"], read["aud"], read["sub"]) == ("harbor-token-issuer", "harbor-registry", "bob")
    assert read["exp"] - read["iat"] == 1800
    assert read["nbf"] == read["iat"]
    assert len(read["jti"]) == 16
    assert read["access"] == [{"type": "repository", "name": "library/app", "actions": ["pull"]}]


def test_signing_in_without_a_scope_gives_a_token_that_grants_nothing(client_for: ClientFor, bob: User) -> None:
    assert claims(ask(client_for(bob)))["access"] is None


def test_nobody_gets_no_token_without_a_scope(client: Client, admin: User) -> None:
    assert (ask(client).status_code, ask(client).content) == (401, b"")


def test_wrong_credentials_are_worth_as_much_as_none(client: Client, bob: User, commons: Project) -> None:
    wrong = Client(headers={"Authorization": basic("bob", "Wrong12345")})
    assert ask(wrong).status_code == 401
    assert granted(ask(wrong, "repository:commons/app:pull")) == [["pull"]]
    assert "sub" not in claims(ask(wrong, "repository:commons/app:pull"))


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        (Role.PROJECT_ADMIN, ["pull", "push", "delete"]),
        (Role.MAINTAINER, ["pull", "push", "delete"]),
        (Role.DEVELOPER, ["pull", "push"]),
        (Role.GUEST, ["pull"]),
        (Role.LIMITED_GUEST, ["pull"]),
    ],
)
def test_a_member_is_granted_what_the_role_holds_whatever_was_asked(
    client_for: ClientFor, library: Project, carol: User, role: Role, actions: list[str]
) -> None:
    add(library, carol, role)
    for asked in ("pull", "pull,push", "*", ""):
        assert granted(ask(client_for(carol), f"repository:library/app:{asked}")) == [actions]


def test_an_administrator_is_granted_everything_but_what_scanners_have(
    client_for: ClientFor, library: Project, admin: User
) -> None:
    answer = ask(client_for(admin), "repository:library/app:pull,scanner-pull", "registry:catalog:*")
    assert granted(answer) == [["pull", "push", "delete"], ["*"]]


def test_a_stranger_is_granted_public_pulls_alone(
    client_for: ClientFor, library: Project, commons: Project, carol: User
) -> None:
    scopes = ["repository:library/app:pull", "repository:commons/app:pull,push", "repository:nowhere/app:pull"]
    expected = [[], ["pull"], []]
    for who in (carol, None):
        assert granted(ask(client_for(who), *scopes)) == expected
        assert granted(ask(client_for(who), " ".join(scopes))) == expected


@pytest.mark.parametrize(
    "bad",
    [
        "repository",
        "repository:",
        "repository::pull",
        "repository:/:pull",
        "repository:library/APP:pull",
        "repository:library/../commons:pull",
        "repository:localhost:5000/library/app:pull",
        "repository(plugin):library/app:pull",
        "registry:other:*",
        "registry:catalog:*",
        "plugin:library/app:pull",
        "a:b:c:d:e:f",
        ":::",
        "répository:library/app:pull",
        "repository:library/app\x00:pull",
        "repository:" + "a" * 3000 + "/b:pull",
    ],
)
def test_a_bad_scope_is_worth_nothing_and_harms_no_other(
    client_for: ClientFor, library: Project, bob: User, bad: str
) -> None:
    assert granted(ask(client_for(bob), bad, "repository:library/app:pull")) == [[], ["pull"]]


def test_a_one_part_name_is_in_the_default_project(
    client_for: ClientFor, library: Project, alice: User, bob: User
) -> None:
    """The entry keeps the name that the client asked for, as the client looks for it."""
    entry = {"type": "repository", "name": "hello-world"}
    first = ask(client_for(alice), "repository:hello-world:pull")
    assert claims(first)["access"] == [{**entry, "actions": ["pull", "push", "delete"]}]
    assert granted(ask(client_for(bob), "repository:hello-world:pull")) == [[]], "there is none, and bob makes none"
    Repository.objects.create(project=library, name="library/hello-world")
    assert claims(ask(client_for(bob), "repository:hello-world:pull"))["access"] == [{**entry, "actions": ["pull"]}]


@pytest.mark.parametrize("query", [{}, {"service": "other"}, {"service": "harbor-registry2"}])
def test_another_service_is_refused(client_for: ClientFor, bob: User, query: dict[str, str]) -> None:
    answer = client_for(bob).get("/service/token", query)
    assert answer.status_code == 400
    assert answer.content.decode() == f"Unable to handle service: {query.get('service', '')}"
    assert answer["Content-Type"].startswith("text/plain")


def test_other_methods_are_told_to_use_get(client_for: ClientFor, bob: User) -> None:
    """containerd and buildkit POST first and fall back to GET upon 405."""
    for method in ("post", "put", "delete", "patch", "head", "options"):
        assert getattr(client_for(bob), method)(f"/service/token?service={SERVICE}").status_code == 405


def test_robot_accounts_are_granted_what_they_were_given(client_for: ClientFor, library: Project, alice: User) -> None:
    other = make_project("other", alice)
    ci = make_robot("ci", grant("library", "repository:push"), project=library)
    wide = make_robot("wide", grant("*", "repository:push", "repository:delete"))
    scopes = ["repository:library/app:*", "repository:other/app:*"]
    assert granted(ask(client_for(ci), *scopes)) == [["pull", "push"], []], "pushing implies pulling in a project"
    assert granted(ask(client_for(wide), *scopes)) == [["push", "delete"]] * 2, "but not for system accounts"
    assert claims(ask(client_for(ci), *scopes))["sub"] == "robot$library+ci"
    assert other.name == "other"


def test_a_changed_lifetime_counts_at_once(client_for: ClientFor, bob: User) -> None:
    """Also in another process than the one that was told, which remembers settings for a while."""
    assert ask(client_for(bob)).json()["expires_in"] == 1800
    Setting.objects.create(key="token_expiration", value=45)
    answer = ask(client_for(bob))
    assert answer.json()["expires_in"] == 2700
    assert claims(answer)["exp"] - claims(answer)["iat"] == 2700


def test_asking_for_a_token_costs_few_queries_and_writes_nothing(
    client_for: ClientFor, library: Project, commons: Project, bob: User, django_assert_max_num_queries: Any
) -> None:
    client, scopes = client_for(bob), ["repository:library/app:pull", "repository:commons/app:pull"]
    ask(client, *scopes)
    with django_assert_max_num_queries(4) as seen:
        ask(client, *scopes)
    assert all(query["sql"].startswith("SELECT") for query in seen.captured_queries)


def test_names_with_colons_and_separators_in_passwords_are_kept_apart(client_for: ClientFor, admin: User) -> None:
    make_user("eve", password="a:b:C1c1c1")
    assert ask(Client(headers={"Authorization": basic("eve", "a:b:C1c1c1")})).status_code == 200
    assert ask(Client(headers={"Authorization": basic("eve:a", "b:C1c1c1")})).status_code == 200, "the same header"
    assert ask(Client(headers={"Authorization": basic("eve", "a:b")})).status_code == 401
