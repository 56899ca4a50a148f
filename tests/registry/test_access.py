"""Who is admitted to which request on `/v2`, and what a client that is not is told."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from harborsite.errors import AppError, BadRequest, Unauthorized
from harborsite.principal import Anonymous, Principal
from projects.models import Project, User
from projects.permissions import Role
from registry.auth.access import Admission, Target, authorise, required
from registry.auth.tokens import TokenPrincipal
from tests.factories import add, grant, make_robot

BEARER = 'Bearer realm="http://testserver/service/token",service="harbor-registry"'
BASIC = 'Basic realm="harbor"'
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def knock(
    who: Principal,
    method: str,
    target: Target | None = Target.REPOSITORY,
    name: str = "library/app",
    mount_from: str = "",
    **meta: Any,
) -> Admission:
    """Ask for admission; whoever is somebody has sent credentials."""
    if who.is_authenticated or isinstance(who, TokenPrincipal):
        meta.setdefault("HTTP_AUTHORIZATION", "Basic …")
    request = RequestFactory().generic(method, f"/v2/{name}/x", **meta)
    return authorise(who=who, needs=required(method, target, name, mount_from), request=request)


def refusal(*arguments: Any, **more: Any) -> AppError:
    with pytest.raises(Unauthorized) as refused:
        knock(*arguments, **more)
    return refused.value


def challenge(*arguments: Any, **more: Any) -> str:
    return refusal(*arguments, **more).headers["WWW-Authenticate"]


def admitted(who: Principal, name: str) -> set[str]:
    allowed = set()
    for method in METHODS:
        try:
            knock(who, method, name=name)
        except Unauthorized:
            continue
        allowed.add(method)
    return allowed


READ = {"GET", "HEAD"}
WRITE = READ | {"POST", "PUT", "PATCH"}


@pytest.mark.parametrize(
    ("role", "methods"),
    [
        (Role.PROJECT_ADMIN, WRITE | {"DELETE"}),
        (Role.MAINTAINER, WRITE | {"DELETE"}),
        (Role.DEVELOPER, WRITE),
        (Role.GUEST, READ),
        (Role.LIMITED_GUEST, READ),
        (None, set()),
    ],
)
def test_one_method_is_one_action(library: Project, carol: User, role: Role | None, methods: set[str]) -> None:
    if role:
        add(library, carol, role)
    assert admitted(carol, "library/app") == methods


def test_deleting_takes_more_than_pushing(library: Project) -> None:
    """DELETE was once mapped to push elsewhere."""
    robot = make_robot("ci", grant("library", "repository:push", "repository:pull"))
    assert admitted(robot, "library/app") == WRITE
    token = TokenPrincipal("bob", 2**40, {"library": frozenset({"push"})}, {})
    assert admitted(token, "library/app") == WRITE - READ


def test_strangers_read_what_is_public(commons: Project, carol: User, admin: User) -> None:
    assert admitted(carol, "commons/app") == READ
    assert admitted(admin, "commons/app") == set(METHODS)


def test_nobody_is_sent_for_a_token_first_however_public(commons: Project) -> None:
    assert challenge(Anonymous(), "GET", name="commons/app") == f'{BEARER},scope="repository:commons/app:pull"'
    with_wrong_ones = knock(Anonymous(), "GET", name="commons/app", HTTP_AUTHORIZATION="Basic wrong")
    assert with_wrong_ones.project == commons, "as Harbor: these are no worse than none"


@pytest.mark.parametrize(
    ("method", "actions"), [("GET", "pull"), ("HEAD", "pull"), ("POST", "pull,push"), ("PUT", "pull,push")]
)
def test_the_challenge_names_the_scope(library: Project, method: str, actions: str) -> None:
    assert challenge(Anonymous(), method) == f'{BEARER},scope="repository:library/app:{actions}"'


def test_the_challenge_of_a_delete_names_delete(library: Project) -> None:
    assert challenge(Anonymous(), "DELETE") == f'{BEARER},scope="repository:library/app:delete"'


def test_whoever_brought_credentials_is_asked_for_better_ones(library: Project, carol: User) -> None:
    assert challenge(carol, "GET") == BASIC
    assert challenge(Anonymous(), "GET", HTTP_AUTHORIZATION="Bearer abc.def.ghi") == BASIC
    assert challenge(Anonymous(), "POST", HTTP_AUTHORIZATION="Basic wrong") == BASIC


def test_a_missing_project_is_told_to_those_who_have_an_account_alone(library: Project, carol: User) -> None:
    told = refusal(carol, "POST", name="nowhere/app")
    assert (told.message, told.headers["WWW-Authenticate"]) == ("project nowhere not found", "")
    for method in METHODS:
        private, missing = (challenge(Anonymous(), method, name=f"{name}/app") for name in ("library", "nowhere"))
        assert private.replace("library", "nowhere") == missing


def test_the_version_check_tells_who_is_somebody(bob: User, library: Project) -> None:
    knock(bob, "GET", Target.PING)
    knock(TokenPrincipal("bob", 0, {}, {}), "GET", Target.PING)
    assert challenge(Anonymous(), "GET", Target.PING) == BEARER
    assert challenge(Anonymous(), "GET", Target.PING, HTTP_AUTHORIZATION="Basic wrong") == BASIC
    assert challenge(TokenPrincipal("", 0, {}, {}), "GET", Target.PING) == BASIC


def test_the_catalogue_is_for_administrators_and_robots_that_were_given_it(admin: User, bob: User) -> None:
    knock(admin, "GET", Target.CATALOG)
    knock(make_robot("lister", grant("/", "catalog:read", kind="system")), "GET", Target.CATALOG)
    every_right = TokenPrincipal("admin", 2**40, {"library": frozenset({"pull", "push", "delete", "*"})}, {})
    for who in (bob, Anonymous(), make_robot("other", grant("*", "repository:pull")), every_right):
        assert challenge(who, "GET", Target.CATALOG) == BASIC


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", None),
        ("POST", None),
        ("TRACE", Target.REPOSITORY),
        ("OPTIONS", Target.REPOSITORY),
        ("CONNECT", Target.REPOSITORY),
        ("get", Target.REPOSITORY),
        ("POST", Target.PING),
        ("DELETE", Target.CATALOG),
        ("", Target.PING),
    ],
)
def test_what_is_unknown_is_denied_to_everybody(admin: User, method: str, target: Target | None) -> None:
    assert required(method, target, "library/app") == ()
    for who in (admin, Anonymous()):
        refused = refusal(who, method, target)
        assert refused.message.startswith("un-recognized request: ")
        assert refused.headers["WWW-Authenticate"] == ""


def test_a_mount_takes_the_right_to_pull_from_the_source(library: Project, commons: Project, bob: User) -> None:
    add(commons, bob, Role.DEVELOPER)
    admission = knock(bob, "POST", name="commons/app", mount_from="library/app")
    assert (admission.project, admission.repository) == (commons, "commons/app")
    assert (admission.source_project, admission.source_repository) == (library, "library/app")


def test_a_mount_from_what_one_may_not_read_is_refused(library: Project, commons: Project, carol: User) -> None:
    add(commons, carol, Role.DEVELOPER)
    private, missing = (
        refusal(carol, "POST", name="commons/app", mount_from=f"{name}/app") for name in ("library", "nowhere")
    )
    assert private.headers == missing.headers == {"WWW-Authenticate": BASIC}
    assert private.message.replace("library", "nowhere") == missing.message
    robot = make_robot("ci", grant("commons", "repository:push", "repository:pull"))
    assert challenge(robot, "POST", name="commons/app", mount_from="library/app") == BASIC


def test_a_mount_with_a_token_takes_the_tokens_right_to_the_source(library: Project, commons: Project) -> None:
    access = {"commons": frozenset({"pull", "push"})}
    assert challenge(TokenPrincipal("alice", 2**40, access, {}), "POST", name="commons/app", mount_from="library/a")
    wider = TokenPrincipal("alice", 2**40, {**access, "library": frozenset({"pull"})}, {})
    assert knock(wider, "POST", name="commons/app", mount_from="library/a").source_project == library
    stale = TokenPrincipal("alice", 2**40, wider.access, {"library": library.pk + 1})
    assert challenge(stale, "POST", name="commons/app", mount_from="library/a") == BASIC


def test_the_challenge_of_a_mount_names_both_scopes(library: Project, commons: Project) -> None:
    expected = f'{BEARER},scope="repository:library/app:pull,push repository:commons/app:pull"'
    assert challenge(Anonymous(), "POST", mount_from="commons/app") == expected


@pytest.mark.parametrize("source", ["", "a b", 'x"', "x\r\nEvil: 1", "../x", "UPPER/x", "x" * 300])
def test_a_source_that_is_no_name_needs_no_right(library: Project, alice: User, source: str) -> None:
    assert knock(alice, "POST", mount_from=source).source_project is None
    assert challenge(Anonymous(), "POST", mount_from=source) == f'{BEARER},scope="repository:library/app:pull,push"'


def test_a_one_part_name_is_in_the_default_project(library: Project, alice: User, bob: User) -> None:
    admission = knock(alice, "POST", name="hello-world")
    assert (admission.project, admission.repository) == (library, "library/hello-world")
    assert challenge(Anonymous(), "GET", name="hello-world").endswith('scope="repository:hello-world:pull"')
    token = TokenPrincipal("bob", 2**40, {"library": frozenset({"pull"})}, {})
    assert knock(token, "GET", name="hello-world").repository == "library/hello-world"


def test_without_a_default_project_a_one_part_name_is_none(
    library: Project, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from harborsite import config
    from registry.auth import scopes

    without = replace(config.current(), default_project="")
    monkeypatch.setattr(scopes, "current", lambda: without)
    with pytest.raises(BadRequest, match="invalid repository name: 'hello-world'"):
        knock(alice, "POST", name="hello-world")


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("registry.example:5000", "http://registry.example:5000"),
        ("my_registry", "http://my_registry"),
        ("[::1]:8080", "http://[::1]:8080"),
        ('evil",x="', "http://testserver"),
        ("a/b", "http://testserver"),
        ("", "http://testserver"),
        ("host:99999999", "http://testserver"),
    ],
)
def test_the_realm_has_the_host_that_the_client_used_if_it_can_be_quoted(host: str, realm: str) -> None:
    told = challenge(Anonymous(), "GET", Target.PING, HTTP_HOST=host)
    assert told == f'Bearer realm="{realm}/service/token",service="harbor-registry"'


def test_admission_costs_one_query_beside_the_memberships(
    library: Project, bob: User, django_assert_num_queries: Any
) -> None:
    token = TokenPrincipal("bob", 2**40, {"library": frozenset({"pull"})}, {})
    with django_assert_num_queries(1):
        knock(token, "GET")
    with django_assert_num_queries(2):
        knock(bob.refresh_rights(), "GET")
