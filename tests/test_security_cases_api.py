"""Incidents of this field that concern the REST API; each test names the row of the list of incidents it is about."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import AuditLog
from harborsite.api import openapi
from harborsite.sealing import seal
from projects import params
from projects.identity import signin
from projects.models import Project, Robot, User
from projects.permissions import Role
from registry.models import Scanner
from replication.models import PreheatInstance, Registry
from tests.factories import PASSWORD, add, basic, client_for, grant, make_project, make_robot, make_user

API = "/api/v2.0"


def answers_of(client: Client, address: str) -> Any:
    answer = client.get(f"{API}{address}")
    return answer.json() if answer.status_code == 200 else answer.status_code


def post(client: Client, address: str, **content: Any) -> Any:
    return client.post(f"{API}{address}", json.dumps(content), content_type="application/json")


def put(client: Client, address: str, **content: Any) -> Any:
    return client.put(f"{API}{address}", json.dumps(content), content_type="application/json")


def readable_addresses(ids: dict[str, object]) -> Iterator[str]:
    """Every address of the API that can be read, with the parts of its path filled in."""

    def walk(resolver: URLResolver, prefix: str) -> Iterator[str]:
        for pattern in resolver.url_patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern, path)
            elif isinstance(pattern, URLPattern) and hasattr(getattr(pattern.callback, "cls", None), "get"):
                yield path

    for route in walk(get_resolver(), ""):
        if route.startswith(("api/", "c/")) and "(" not in route and "log_out" not in route:
            yield "/" + re.sub(r"<\w+:(\w+)>", lambda part: str(ids.get(part[1], 1)), route)


@pytest.mark.parametrize("mode", ["visitor", "user"])
def test_row_01_nobody_makes_himself_an_administrator(carol: User, mode: str) -> None:
    params.update({"self_registration": True})
    params.forget()
    client = Client() if mode == "visitor" else client_for(carol)
    wanted = {"username": "mallory", "password": PASSWORD, "email": "m@example.com", "realname": "M"}
    extra = {"sysadmin_flag": True, "admin_role_in_auth": True, "user_id": 1, "role_id": 1, "is_superuser": True}
    post(client, "/users", **wanted, **extra)
    assert not User.objects.filter(sysadmin_flag=True).exclude(username="admin").exists()
    assert put(client_for(carol), f"/users/{carol.pk}/sysadmin", sysadmin_flag=True).status_code == 403
    put(client_for(carol), f"/users/{carol.pk}", email="c@example.com", realname="C", comment="", **extra)
    carol.refresh_from_db()
    assert not carol.sysadmin_flag


def test_row_02_an_object_of_another_project_is_not_there(library: Project, alice: User, carol: User) -> None:
    """By its id below one's own project, which is the right one to manage members in."""
    mine = make_project("mine", carol)
    member = library.members.get()
    client = client_for(carol)
    for address in (f"/projects/{mine.pk}/members/{member.pk}", f"/projects/mine/members/{member.pk}"):
        assert client.get(f"{API}{address}").status_code == 404
        put(client, address, role_id=3)  # answered with 200, as Harbor does, and without effect
        client.delete(f"{API}{address}")
    member.refresh_from_db()
    assert member.role == Role.PROJECT_ADMIN
    robot = make_robot("ci", grant("library", "repository:pull"), project=library)
    assert client.get(f"{API}/robots/{robot.pk}").status_code in {403, 404}
    assert client.delete(f"{API}/robots/{robot.pk}").status_code in {403, 404}
    assert client.patch(f"{API}/robots/{robot.pk}", "{}", content_type="application/json").status_code in {403, 404}
    assert client.get(f"{API}/users/{alice.pk}").status_code == 403
    assert put(client, f"/users/{alice.pk}/password", new_password="Other12345").status_code == 403


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.wire_name)
def test_row_04_project_settings_are_changed_by_its_administrators_alone(
    library: Project, carol: User, role: Role
) -> None:
    add(library, carol, role)
    client = client_for(carol)
    may = role == Role.PROJECT_ADMIN
    tries = {
        "add": post(client, "/projects/library/metadatas", auto_scan="true"),
        "change": put(client, "/projects/library/metadatas/auto_scan", auto_scan="false"),
        "whole": put(client, "/projects/library", metadata={"public": "true"}),
        "delete": client.delete(f"{API}/projects/library/metadatas/auto_scan"),
    }
    refused = {name for name, answer in tries.items() if answer.status_code == 403}
    assert refused == (set() if may else set(tries)), {name: answer.status_code for name, answer in tries.items()}
    library.refresh_from_db()
    assert library.public is may


def test_row_05_nobody_makes_a_robot_account_stronger_than_himself(library: Project, carol: User) -> None:
    make_project("mine", carol)
    request: dict[str, Any] = {"name": "up", "level": "project", "duration": -1}

    def make(client: Client, **changes: Any) -> int:
        return int(post(client, "/robots", **{**request, **changes}).status_code)

    pull = [{"resource": "repository", "action": "pull"}]
    there = [{"kind": "project", "namespace": "library", "access": pull}]
    here = [{"kind": "project", "namespace": "mine", "access": pull}]
    everywhere = [{"kind": "project", "namespace": "*", "access": pull}]
    system = [{"kind": "system", "namespace": "/", "access": [{"resource": "catalog", "action": "read"}]}]
    client = client_for(carol)
    assert make(client, permissions=there) in {401, 403}
    assert make(client, permissions=here + there) in {400, 401, 403}
    for level in ("system", "project"):
        for permissions in (everywhere, system, there):
            assert make(client, level=level, permissions=permissions) in {400, 401, 403}
    maker = make_robot("maker", grant("library", "robot:create", "repository:pull"), project=library)
    stronger = [{"kind": "project", "namespace": "library", "access": [{"resource": "repository", "action": "push"}]}]
    assert make(client_for(maker), permissions=stronger) in {401, 403}
    assert Robot.objects.count() == 1


@pytest.mark.parametrize("end", ["disabled", "deleted", "expired"])
def test_row_05_a_robot_account_makes_none_when_it_is_over(library: Project, end: str) -> None:
    """Neither before its children nor through them: what it made keeps its own, narrower, rights."""
    maker = make_robot("maker", grant("library", "robot:create", "repository:pull"), project=library)
    pull = [{"kind": "project", "namespace": "library", "access": [{"resource": "repository", "action": "pull"}]}]
    request = {"level": "project", "duration": -1, "permissions": pull}
    client = client_for(maker)
    assert post(client, "/robots", **request, name="child").status_code == 201
    match end:
        case "disabled":
            Robot.objects.filter(pk=maker.pk).update(disable=True)
        case "deleted":
            maker.delete()
        case _:
            Robot.objects.filter(pk=maker.pk).update(expires_at=1)
    signin.forget()
    assert post(client, "/robots", **request, name="second").status_code == 401
    child = Robot.objects.get(name="library+child")
    assert [each["access"] for each in child.permissions] == [pull[0]["access"]]
    wider = [{**pull[0], "access": [*pull[0]["access"], {"resource": "repository", "action": "push"}]}]
    child.secret = make_password(PASSWORD)
    child.save()
    answer = put(client_for(child), f"/robots/{child.pk}", **{**request, "name": child.username, "permissions": wider})
    assert answer.status_code == 403


SECRET_COLUMNS = ["password", "Password", "salt", "secret", "Secret", "password_version", "cli_secret", "creator_ref",
                  "access_secret", "access_key", "ca_certificate", "credential", "access_credential", "auth_info",
                  "AccessSecret", "targets", "auth_header"]  # fmt: skip
CANARY = "Canary7Bird"


@pytest.mark.parametrize("operator", ["=~", "=", "__icontains=", "__startswith=", "__gte=", "__regex="])
def test_row_08_no_filter_or_order_tells_anything_about_a_secret(admin: User, bob: User, operator: str) -> None:
    """All such columns at once: one that is looked at leaves nothing that has `zzz` in it."""
    make_robot("ci")
    client = client_for(admin)
    seal_some()
    for address in filterable():
        plain = answers_of(client, address)
        for value in ("m", "zzz", "9"):
            terms = ",".join(f"{column}{operator}{value}" for column in SECRET_COLUMNS)
            assert answers_of(client, f"{address}?q={terms}") == plain, address
        for sign in ("", "-"):
            order = ",".join(f"{sign}{column}" for column in SECRET_COLUMNS)
            assert answers_of(client, f"{address}?sort={order}") == plain, address


def seal_some() -> None:
    """Something with a secret for each list that could tell about one."""
    Registry.objects.create(name="far", type="harbor", url="http://10.1.2.3", access_secret=seal(CANARY))
    Scanner.objects.create(name="s", url="http://10.1.2.4", auth="Bearer", credential=seal(CANARY))
    PreheatInstance.objects.create(
        name="p", vendor="kraken", endpoint="http://10.1.2.5", auth_info=seal(json.dumps({"token": CANARY}))
    )


def filterable() -> list[str]:
    """Every list outside of a project that takes `q`."""
    return [
        path
        for path, item in openapi.document()["paths"].items()
        if "{" not in path and {"q", "sort"} <= {each["name"] for each in item.get("get", {}).get("parameters", [])}
    ]


def test_row_08_a_filter_does_not_reach_into_other_tables(library: Project, bob: User, admin: User) -> None:
    client = client_for(admin)
    for key in ("owner__password", "members__user__password", "owner.password", "robots__secret"):
        plain = answers_of(client, "/projects")
        assert answers_of(client, f"/projects?q={key}=~m") == plain
        assert answers_of(client, f"/projects?q={key}__startswith=z") == plain


@pytest.mark.parametrize(
    "attack",
    ["'", "';DROP TABLE projects_user;--", "' OR '1'='1", '"', "\\", "%27", "1) OR (1=1", "%00", "%ff", "a" * 5000],
)
def test_row_09_odd_text_is_data(admin: User, library: Project, attack: str) -> None:
    client = client_for(admin)
    for address in ("/users", "/projects", "/robots", "/audit-logs", "/quotas", "/users/search", "/labels"):
        for query in (f"q=name=~{attack}", f"q={attack}=1", f"sort={attack}", f"name={attack}", f"username={attack}"):
            answer = client.get(f"{API}{address}?{query}")
            assert answer.status_code < 500, (address, query)
    assert client.get(f"{API}/projects/{attack[:200]}").status_code < 500
    assert User.objects.count() == 2


def test_row_10_wildcards_of_sql_are_plain_characters(alice: User, admin: User) -> None:
    for name in ("a_b", "axb"):
        project = make_project(name, alice)
        make_robot("ci", grant(name, "repository:pull"), project=project)
    client = client_for(admin)
    for query in ("a_b", "a%25b", "_", "%25"):
        names = {project["name"] for project in answers_of(client, f"/projects?q=name=~{query}")}
        assert names == ({"a_b"} if "_" in query else set()), query
    for name in ("a_b", "axb", "a%b"):
        make_user(f"u{name}".replace("%", "-"))
    assert [user["username"] for user in answers_of(client, "/users?q=username=~a_b")] == ["ua_b"]
    assert [user["username"] for user in answers_of(client, "/users/search?username=a_b")] == ["ua_b"]
    assert answers_of(client, "/users/search?username=%25") == []
    assert [found["name"] for found in answers_of(client, "/search?q=a_b")["project"]] == ["a_b"]
    assert answers_of(client, "/labels?scope=g&name=_") == []
    owner = client_for(alice)
    robots = answers_of(owner, f"/robots?q=Level=project,ProjectID={Project.objects.get(name='a_b').pk}")
    assert [robot["name"] for robot in robots] == ["robot$a_b+ci"]


def test_row_24_no_answer_holds_a_secret(library: Project, alice: User, bob: User, admin: User) -> None:
    """Every address that can be read, by everybody from the administrator to nobody."""
    robot = make_robot("ci", grant("library", "repository:pull"), project=library)
    ids = {
        "project_name_or_id": "library",
        "user_id": bob.pk,
        "robot_id": robot.pk,
        "mid": library.members.get(user=bob).pk,
    }
    seal_some()
    params.update({"ldap_search_password": CANARY, "oidc_client_secret": CANARY, "uaa_client_secret": CANARY})
    sealed = (Registry.objects.get().access_secret, Scanner.objects.get().credential, CANARY)
    secrets = {*sealed, robot.secret, PASSWORD, *User.objects.values_list("password", flat=True), "BEGIN PRIVATE KEY"}
    addresses = sorted(readable_addresses(ids))
    assert len(addresses) > 30
    for who in (admin, alice, bob, robot, None):
        client = client_for(who)
        for address in addresses:
            answer = client.get(address)
            assert answer.status_code < 500, address
            text = b"".join(answer) if answer.streaming else answer.content
            assert not [secret for secret in secrets if secret.encode() in text], address


def test_row_25_the_audit_log_holds_no_secret(admin: User, bob: User) -> None:
    client, canary = client_for(admin), "Canary7Bird"
    made = {"username": "dave", "password": canary, "email": "d@example.com", "realname": "D"}
    assert post(client, "/users", **made).status_code == 201
    assert put(client, f"/users/{bob.pk}/password", new_password=canary).status_code == 200
    text = json.dumps([answers_of(client, "/audit-logs"), answers_of(client, "/auditlog-exts?page_size=100")])
    assert canary not in text
    assert "dave" in text


def test_row_25_no_request_writes_its_secrets_into_a_log(
    admin: User, bob: User, library: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_for(admin)
    robot = make_robot("ci", project=library)
    asked = [
        put(client, f"/users/{bob.pk}/password", new_password=CANARY),
        client.patch(f"{API}/robots/{robot.pk}", json.dumps({"secret": CANARY}), content_type="application/json"),
        put(client, "/configurations", ldap_search_password=CANARY),
        post(
            client, "/registries", name="far", type="harbor", url="http://169.254.1.1",
            credential={"type": "basic", "access_key": "k", "access_secret": CANARY},
        ),
        post(client, "/scanners", name="s", url="http://169.254.1.1", auth="Basic", access_credential=CANARY),
        post(
            client, "/p2p/preheat/instances/ping", name="p", vendor="kraken", endpoint="http://169.254.1.1",
            auth_mode="OAUTH", auth_info={"token": CANARY},
        ),
        Client(headers={"Authorization": basic("admin", CANARY)}).get(f"{API}/users/current"),
    ]  # fmt: skip
    assert [answer.status_code for answer in asked] == [200, 200, 200, 400, 400, 400, 401]
    text = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    text += "".join(answer.content.decode() for answer in asked)
    assert CANARY not in text + json.dumps(list(AuditLog.objects.values("resource", "data")))


def test_row_26_accounts_are_found_by_name_alone_and_not_by_visitors(carol: User, bob: User) -> None:
    assert answers_of(Client(), "/users/search?username=b") == 401
    client = client_for(carol)
    assert answers_of(client, "/users/search?username=bob") == [{"user_id": bob.pk, "username": "bob"}]
    assert answers_of(client, "/users/search?username=bob@example") == []
    assert answers_of(client, "/users/search?email=bob@example.com") != [{"user_id": bob.pk, "username": "bob"}]
    assert answers_of(client, "/users") == 403
    missing, other = answers_of(client, "/users/99999"), answers_of(client, f"/users/{bob.pk}")
    assert missing == other == 403


def test_row_27_a_session_alone_changes_nothing(carol: User, admin: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin)
    tries = [
        post(browser, "/projects", project_name="forged", metadata={"public": "true"}),
        put(browser, f"/users/{carol.pk}/sysadmin", sysadmin_flag=True),
        put(browser, f"/users/{carol.pk}/password", new_password="Forged12345"),
        browser.delete(f"{API}/users/{carol.pk}"),
        browser.post("/c/login", {"principal": "carol", "password": PASSWORD}),
    ]
    assert [answer.status_code for answer in tries] == [403] * len(tries)
    assert not Project.objects.exists()
    token = browser.get(f"{API}/users/current")["X-Harbor-CSRF-Token"]
    kept = json.dumps({"project_name": "meant"})
    made = browser.post(
        f"{API}/projects", kept, content_type="application/json", headers={"X-Harbor-CSRF-Token": token}
    )
    assert made.status_code == 201
    script = Client(enforce_csrf_checks=True, headers={"Authorization": basic("admin")})
    assert post(script, "/projects", project_name="script").status_code == 201


@pytest.mark.parametrize("path", ["/systeminfo", "/nothing"])
def test_row_27_the_token_in_the_header_is_the_clients_own(db: None, path: str) -> None:
    """It is the cookie's, so no answer with it may be kept for others."""
    browser, stranger = Client(), Client()
    first, others = browser.get(API + path), stranger.get(API + path)
    again = browser.get(API + path)
    assert "csrftoken" in first.cookies
    assert "csrftoken" not in again.cookies
    assert again["X-Harbor-CSRF-Token"] == browser.cookies["csrftoken"].value
    assert again["X-Harbor-CSRF-Token"] not in {others["X-Harbor-CSRF-Token"], stranger.cookies["csrftoken"].value}
    assert all("Cookie" in answer["Vary"] for answer in (first, again, others))


def test_row_38_a_session_has_an_end(bob: User, client: Client) -> None:
    client.force_login(bob)
    assert client.get(f"{API}/users/current").status_code == 200
    client.get("/c/log_out")
    assert client.get(f"{API}/users/current").status_code == 401


def test_row_30_the_default_password_opens_the_api_from_this_machine_alone(db: None) -> None:
    make_user("admin", pk=1, password="Harbor12345", sysadmin_flag=True)
    client = Client(headers={"Authorization": basic("admin", "Harbor12345")})
    assert client.get(f"{API}/users/current").status_code == 200
    refused = client.get(f"{API}/users/current", headers={"X-Forwarded-For": "192.0.2.7"})
    assert refused.status_code == 403
    assert "manage.py users set-password admin" in refused.content.decode()
