"""Harbor's REST API of directories: ping, searches, import, groups and members by DN."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from projects.models import Member, Project, User, UserGroup
from projects.permissions import Role
from tests import slapd as server
from tests.factories import basic
from tests.ldap.conftest import Configure, enter, give, known_group
from tests.slapd import CROWD, Slapd

JSON = "application/json"


@pytest.fixture
def api(nested: Configure) -> Client:
    return Client(headers={"Authorization": basic("admin")})


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(f"/api/v2.0/{path}", json.dumps(body) if body is not None else b"", content_type=JSON)


def test_ping_tells_whether_the_server_that_is_set_lets_the_searching_account_in(
    api: Client, directory: Configure
) -> None:
    assert post(api, "ldap/ping").json() == {"success": True}
    directory(search_password="wrong")
    answer = post(api, "ldap/ping")
    assert answer.status_code == 200
    assert answer.json()["success"] is False
    assert "wrong DN or password" in answer.json()["message"]


def test_ping_tries_out_what_is_not_set_yet(api: Client, slapd: Slapd) -> None:
    tried = {"ldap_url": slapd.url, "ldap_search_dn": server.AD_SEARCH_DN, "ldap_base_dn": server.AD}
    assert post(api, "ldap/ping", tried | {"ldap_search_password": server.SEARCH_PASSWORD}).json()["success"] is True
    assert post(api, "ldap/ping", tried).json()["success"] is False, "another account's password is not tried on it"
    kept = {"ldap_url": slapd.url, "ldap_search_dn": server.SEARCH_DN, "ldap_base_dn": server.BASE}
    assert post(api, "ldap/ping", kept).json()["success"] is True
    assert post(api, "ldap/ping", kept | {"ldap_base_dn": "nowhere"}).status_code == 400


def test_ping_sends_the_kept_password_to_no_other_address(api: Client, slapd: Slapd) -> None:
    """The same server under another name is another address."""
    body = {"ldap_url": f"ldap://localhost:{slapd.port}", "ldap_search_dn": server.SEARCH_DN}
    assert post(api, "ldap/ping", body).json()["success"] is False


@pytest.mark.parametrize("path", ["ldap/users/search?username=x", "ldap/groups/search?groupname=x"])
def test_only_administrators_look_into_the_directory(api: Client, carol: User, path: str) -> None:
    assert Client().get(f"/api/v2.0/{path}").status_code == 401
    assert Client(headers={"Authorization": basic("carol")}).get(f"/api/v2.0/{path}").status_code == 403
    for other in ("ldap/ping", "ldap/users/import"):
        assert post(Client(headers={"Authorization": basic("carol")}), other, {}).status_code == 403


def test_people_are_searched_by_name(api: Client) -> None:
    found = api.get("/api/v2.0/ldap/users/search?username=lena").json()
    assert found == [{"username": "lena", "realname": "Lena Fischer", "email": "lena@example.com"}]
    assert api.get("/api/v2.0/ldap/users/search?username=*").json() == []
    everybody = {person["username"] for person in api.get("/api/v2.0/ldap/users/search").json()}
    assert {"lena", "tom", "wei", "a_b+c (*)"} <= everybody
    assert "gone" not in everybody


def test_a_server_that_gives_out_entries_page_by_page_gives_all_of_them(api: Client, directory: Configure) -> None:
    directory(
        base_dn=server.AD_PEOPLE,
        search_dn=server.AD_SEARCH_DN,
        uid="sAMAccountName",
        filter="(objectClass=user)",
        timeout=30,
    )
    assert len(api.get("/api/v2.0/ldap/users/search").json()) == CROWD + 2


def test_groups_are_searched_by_name_and_dn(api: Client) -> None:
    wanted = [{"group_name": "developers", "group_type": 1, "ldap_group_dn": server.DEVELOPERS}]
    assert api.get("/api/v2.0/ldap/groups/search?groupname=developers").json() == wanted
    assert api.get("/api/v2.0/ldap/groups/search", {"groupdn": server.DEVELOPERS.upper()}).json() == wanted
    for absent in ({}, {"groupname": "nobody"}, {"groupdn": f"cn=none,{server.GROUPS}"}, {"groupdn": server.LENA}):
        assert api.get("/api/v2.0/ldap/groups/search", absent).status_code == 404
    assert api.get("/api/v2.0/ldap/groups/search", {"groupdn": "developers"}).status_code == 400


def test_people_are_brought_in_before_they_sign_in(api: Client) -> None:
    assert post(api, "ldap/users/import", {"ldap_uid_list": ["lena", "tom"]}).status_code == 200
    assert set(User.objects.filter(source="ldap").values_list("username", flat=True)) == {"lena", "tom"}
    answer = post(api, "ldap/users/import", {"ldap_uid_list": ["wei", "", "nobody", "admin"]})
    assert answer.status_code == 404
    reasons = {failed["uid"]: failed["error"] for failed in answer.json()}
    assert reasons.pop("admin").startswith("failed to import user: ")
    assert reasons == {"": "empty_uid", "nobody": "unknown_user"}
    assert User.objects.filter(username="wei", source="ldap").exists()


def test_an_import_without_a_directory_says_so(api: Client, directory: Configure) -> None:
    directory(url="ldap://127.0.0.1:1")
    answer = post(api, "ldap/users/import", {"ldap_uid_list": ["lena"]})
    assert [failed["error"] for failed in answer.json()] == ["failed_search_user"]
    assert api.get("/api/v2.0/ldap/users/search?username=lena").status_code == 503


def test_a_group_is_made_by_its_dn_once(api: Client) -> None:
    body = {"group_type": 1, "ldap_group_dn": f"CN=Developers, {server.GROUPS}"}
    assert post(api, "usergroups", body).status_code == 201
    group = UserGroup.objects.get()
    assert (group.group_name, group.ldap_group_dn, group.source) == ("developers", server.DEVELOPERS, "ldap")
    assert post(api, "usergroups", body).status_code == 409
    assert post(api, "usergroups", body | {"group_name": "again"}).status_code == 409
    refused = post(api, "usergroups", {"group_type": 1, "ldap_group_dn": f"cn=none,{server.GROUPS}"})
    assert refused.status_code == 400
    assert "LDAP Group DN is not found" in refused.content.decode()
    listed = api.get("/api/v2.0/usergroups", {"ldap_group_dn": server.DEVELOPERS.upper()}).json()
    assert [row["id"] for row in listed] == [group.pk]


def test_groups_and_people_of_the_directory_become_members(api: Client, library: Project) -> None:
    """A group and a person that are not known yet are brought in on the way."""
    members = "projects/library/members"
    new: list[dict[str, Any]] = [
        {"role_id": 2, "member_group": {"ldap_group_dn": server.STAFF, "group_type": 1}},
        {"role_id": 3, "member_user": {"username": "wei"}},
    ]
    for body in new:
        assert post(api, members, body).status_code == 201
        assert post(api, members, body).status_code == 409
    assert Member.objects.get(group__group_name="staff").role == Role.DEVELOPER
    assert post(api, members, {"role_id": 3, "member_user": {"username": "nobody"}}).status_code == 404
    unknown = {"role_id": 3, "member_group": {"ldap_group_dn": f"cn=none,{server.GROUPS}"}}
    assert post(api, members, unknown).status_code == 400
    assert enter("lena").roles_in(library) == {Role.DEVELOPER}
    assert enter("wei").roles_in(library) == {Role.GUEST}


# --- what a server answers, step by step ------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    from harborsite.management.commands import ldap_test

    monkeypatch.setattr(ldap_test, "check_prepared", lambda config: None)


def steps(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, tuple[bool | None, str]]:
    capsys.readouterr()
    with suppress(CommandError):  # a step that failed is the exit status
        call_command("ldap_test", name, "--json")
    return {step["title"]: (step["ok"], step["text"]) for step in json.loads(capsys.readouterr().out)}


def test_the_command_says_what_every_step_found(
    nested: Configure, library: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    give(library, known_group(server.STAFF, "staff"), Role.DEVELOPER)
    said = steps(capsys, "LENA")
    assert said["Server"][0] is True
    assert said["Encryption"] == (None, "none: passwords are sent in the clear")
    assert said["Search account"] == (True, server.SEARCH_DN)
    assert said["Search"][1] == f"below {server.PEOPLE}, scope sub, filter (&(employeeType=active)(uid=LENA))"
    assert said["Entry"] == (True, server.LENA)
    assert said["Account"] == (True, "lena · Lena Fischer · lena@example.com: is made at the first sign-in")
    assert server.EVERYONE in said["Groups"][1].split("\n")
    assert said["Administrator"] == (None, "no")
    assert said["Projects"] == (None, "library: Developer (staff)")
    assert not User.objects.filter(username="lena").exists(), "nothing is written"


@pytest.mark.parametrize(
    ("changed", "title", "said"),
    [
        ({"url": "ldap://127.0.0.1:1"}, "Server", "no connection"),
        ({"search_password": "no"}, "Search account", "wrong DN or password"),
        ({"base_dn": "ou=nowhere,dc=example,dc=com"}, "Search", "the server knows no entry ou=nowhere"),
        ({"filter": "(employeeType=left)"}, "Entry", "nothing found"),
        ({"uid": "cn"}, "Entry", "nothing found"),
    ],
)
def test_the_first_step_that_fails_is_named(
    directory: Configure, changed: dict[str, str], title: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory(**changed)
    ok, text = steps(capsys, "lena")[title]
    assert ok is False
    assert said in text
