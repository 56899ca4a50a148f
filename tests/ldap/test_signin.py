"""People of a directory signing in: who they become here, what it costs, and who is kept out."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from projects import params
from projects.models import Project, User
from projects.permissions import Role, can
from tests import images
from tests import slapd as server
from tests.factories import add, basic, make_user, push
from tests.ldap.conftest import Configure, enter, give, known_group
from tests.slapd import PASSWORD, Slapd


def client_of(username: str, password: str = PASSWORD) -> Client:
    return Client(headers={"Authorization": basic(username, password)})


def token_of(client: Client, repository: str) -> str:
    scope = f"repository:{repository}:pull,push"
    answer = client.get("/service/token", {"service": "harbor-registry", "scope": scope})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["token"])


def may_push(client: Client, repository: str) -> bool:
    """Whether the next token is good for a push."""
    bearer = Client(headers={"Authorization": f"Bearer {token_of(client, repository)}"})
    return bool(push(bearer, f"{repository}:1", images.image("a")).status_code == 201)


# --- coming in --------------------------------------------------------------------------------------------


def test_a_first_sign_in_makes_an_account_with_what_the_directory_has(directory: Configure) -> None:
    user = enter("wei")
    assert (user.username, user.realname, user.email) == ("wei", "王伟", "wei@example.com")
    assert (user.source, user.comment, user.is_superuser) == ("ldap", "from LDAP.", False)
    assert not user.has_usable_password()
    assert AuditLog.objects.get(resource="wei").username == "wei"
    assert enter("wei") == user
    assert User.objects.filter(source="ldap").count() == 1


@pytest.mark.parametrize("typed", ["LENA", "Lena", " lena", "lena "])
def test_however_a_name_is_typed_it_is_one_account(directory: Configure, typed: str) -> None:
    user = enter("lena")
    assert enter(typed) == user
    assert User.objects.filter(source="ldap").count() == 1


def test_what_changes_in_the_directory_changes_here(directory: Configure, slapd: Slapd) -> None:
    slapd.add(f"uid=nina,{server.PEOPLE}", uid="nina", cn="Nina", mail="nina@example.com", employeeType="active")
    try:
        first = enter("nina")
        slapd.change(f"uid=nina,{server.PEOPLE}", mail=["nina@elsewhere.example"], cn=["Nina Neu"])
        again = enter("nina")
        assert again.pk == first.pk
        assert (again.email, again.realname) == ("nina@elsewhere.example", "Nina Neu")
        slapd.change(f"uid=nina,{server.PEOPLE}", userPassword=["Another-Passw0rd"])
        assert enter("nina") is None, "nothing is remembered of people of a directory"
        assert enter("nina", "Another-Passw0rd") == again
    finally:
        slapd.remove(f"uid=nina,{server.PEOPLE}")


def test_a_sign_in_is_a_bind_a_search_and_a_bind(directory: Configure, slapd: Slapd) -> None:
    before = len(slapd.operations())
    assert enter("lena")
    assert slapd.operations()[before:] == ["BIND", "SRCH", "BIND"]


def test_a_search_for_groups_costs_one_search_for_each_level(nested: Configure, slapd: Slapd) -> None:
    before = len(slapd.operations())
    assert enter("wei")  # directly in its groups, and they in no other
    assert slapd.operations()[before:] == ["BIND", "SRCH", "SRCH", "BIND"]
    before = len(slapd.operations())
    assert enter("lena")  # developers, which is in staff, which is in everyone
    assert slapd.operations()[before:] == ["BIND", "SRCH", "SRCH", "SRCH", "SRCH", "BIND"]


def test_accounts_of_the_database_never_go_to_the_directory(directory: Configure, slapd: Slapd, carol: User) -> None:
    before = len(slapd.operations())
    assert enter("carol", "Secret12345") == carol
    assert enter("carol", "Wrong12345") is None
    assert enter("carol@example.com", "Wrong12345") is None
    assert enter("robot$library+ci") is None
    assert len(slapd.operations()) == before


# --- staying out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "*", "l*", "lena*", "(uid=*)", "lena)(uid=*", "lena)(|(uid=*", "*)(uid=*))(|(uid=*", "lena\\2a", "\\2a",
        "lena)(userPassword=*", "uid=lena", server.LENA, "%(user)s", "%s", "lena%00", "le\u0000na",
    ],
)  # fmt: skip
def test_a_name_is_never_more_than_a_name(directory: Configure, slapd: Slapd, name: str) -> None:
    before = len(slapd.filters())
    assert enter(name) is None
    assert not User.objects.filter(source="ldap").exists()
    for asked in slapd.filters()[before:]:
        assert asked.startswith("(&(employeeType=active)(uid=")
        assert (asked.count("("), asked.count(")")) == (3, 3), "its parentheses are escaped"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nobody", "no such entry"),
        ("gone", "the filter keeps the entry out"),
        ("twin", "two entries"),
        ("blank", "no password"),
        ("away", "a referral"),
    ],
)
def test_who_the_search_does_not_find_once_stays_out(directory: Configure, name: str, why: str) -> None:
    if why != "the filter keeps the entry out":
        directory(filter="")
    assert enter(name) is None, why
    assert not User.objects.filter(source="ldap").exists()


@pytest.mark.parametrize("password", ["", " ", "\0", "wrong", PASSWORD + " ", PASSWORD.lower(), "*", "\0" + PASSWORD])
def test_a_wrong_or_empty_password_never_signs_in(directory: Configure, password: str) -> None:
    assert enter("lena", password) is None
    assert client_of("lena", password).get("/service/token?service=harbor-registry").status_code == 401
    assert Client().post("/c/login", {"principal": "lena", "password": password}).status_code != 200
    assert not User.objects.filter(source="ldap").exists()


def test_odd_names_are_escaped_in_filters_and_dns(nested: Configure, library: Project) -> None:
    """A comma becomes an underscore, as in Harbor; the group's name needs every kind of escaping."""
    give(library, known_group(server.ODD_GROUP, "odd"), Role.DEVELOPER)
    user = enter("a,b+c (*)")
    assert user.username == "a_b+c (*)"
    assert can(user, "repository:push", library)


def test_a_disabled_account_stays_out_and_a_disabled_right_stays_away(directory: Configure) -> None:
    user = enter("lena")
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert enter("lena") is None


# --- one name, two sources --------------------------------------------------------------------------------


def test_an_account_of_the_database_is_not_taken_over_by_a_name_in_the_directory(
    directory: Configure, bob: User
) -> None:
    assert enter("bob", PASSWORD) is None
    for typed in ("BOB", "Bob", "bob "):
        assert enter(typed, PASSWORD) is None, "the directory says yes, the account is another source's"
    assert enter("bob", "Secret12345") == bob
    bob.refresh_from_db()
    assert (bob.source, bob.email) == ("database", "bob@example.com")


def test_the_built_in_administrator_is_of_the_database_alone(directory: Configure, admin: User) -> None:
    for typed in ("admin", "Admin", "ADMIN "):
        assert enter(typed, PASSWORD) is None
    assert enter("admin", "Secret12345") == admin
    params.update({"sign_in_sources": "ldap"})
    params.forget()
    assert enter("admin", "Secret12345") == admin, "whatever the sources"
    make_user("dora")
    assert enter("dora", "Secret12345") is None, "the database is no source now"
    assert enter("lena")


def test_an_address_of_somebody_else_opens_no_account(directory: Configure) -> None:
    make_user("victim", email="lena@example.com")
    make_user("tom@example.com", email="other@example.com")
    lena, tom = enter("lena"), enter("tom")
    assert (lena.email, tom.email) == (None, None)
    assert enter("lena@example.com") is None
    directory(uid="mail")
    assert enter("wei@example.com").username == "wei@example.com"
    User.objects.filter(username="wei@example.com").delete()
    make_user("squatter", email="wei@example.com")
    assert enter("wei@example.com") is None
    assert enter("WEI@example.com") is None


def test_a_person_of_one_directory_is_not_one_of_another(
    directory: Configure, slapd: Slapd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`tom` is in both trees, with the same password; the account belongs to the first that knew him."""
    from projects.identity.ldap import sources

    second = sources.Source(
        name="ldap_2",
        url=slapd.url,
        base_dn=server.AD_PEOPLE,
        search_dn=server.AD_SEARCH_DN,
        search_password=server.SEARCH_PASSWORD,
        uid="sAMAccountName",
    )
    first = sources.first()
    monkeypatch.setattr(sources, "configured", lambda: [first, second])
    assert enter("tom").source == "ldap"
    assert enter("anna").source == "ldap_2"
    params.update({"sign_in_sources": "database ldap_2 ldap"})
    params.forget()
    assert enter("tom").source == "ldap", "its own directory is asked, whatever the order"
    params.update({"sign_in_sources": "database ldap_2"})
    params.forget()
    assert enter("tom") is None
    with caplog.at_level(logging.WARNING):
        assert enter("TOM") is None
    assert "belongs to another source: ldap" in caplog.records[-1].reason  # type: ignore[attr-defined]


# --- groups -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dn", "needs_search"), [(server.DEVELOPERS, False), (server.STAFF, True), (server.EVERYONE, True)]
)
def test_a_group_gives_its_role_until_the_person_is_taken_out_of_it(
    directory: Configure, slapd: Slapd, library: Project, dn: str, needs_search: bool
) -> None:
    """Through the token service, as docker does it: the token after the removal opens nothing."""
    give(library, known_group(dn, "the group"), Role.DEVELOPER)
    if needs_search:
        assert not may_push(client_of("lena"), "library/app"), "nested, and no groups are searched for"
        directory(group_search_filter="(objectClass=groupOfNames)", group_base_dn=server.GROUPS)
    lena = client_of("lena")
    assert may_push(lena, "library/app")
    assert not may_push(client_of("wei"), "library/app") or dn == server.EVERYONE
    slapd.change(server.DEVELOPERS, member=[server.TOM])
    try:
        assert not may_push(lena, "library/app")
    finally:
        slapd.change(server.DEVELOPERS, member=[server.LENA, server.TOM])
    assert may_push(lena, "library/app")


def test_the_group_filter_and_base_decide_which_groups_count(nested: Configure, library: Project) -> None:
    give(library, known_group(server.DEVELOPERS, "developers"), Role.DEVELOPER)
    assert can(enter("lena"), "repository:push", library)
    nested(group_search_filter="(cn=staff)", group_base_dn=server.GROUPS)
    assert not can(enter("lena"), "repository:push", library)
    nested(group_search_filter="(objectClass=*)", group_base_dn=server.PEOPLE)
    assert not can(enter("lena"), "repository:push", library)


def test_members_of_the_administrators_group_are_administrators_as_long_as_they_are_in_it(
    nested: Configure, slapd: Slapd
) -> None:
    nested(group_search_filter="(objectClass=groupOfNames)", group_base_dn=server.GROUPS,
           group_admin_dn=f" {server.ADMINS.upper().replace(',', ', ')}".strip())  # fmt: skip
    wei = enter("wei")
    assert (wei.is_superuser, wei.sysadmin_flag, wei.admin_role_in_auth) == (True, False, True)
    assert client_of("wei").get("/api/v2.0/users/current").json()["admin_role_in_auth"] is True
    assert client_of("wei").get("/api/v2.0/users").status_code == 200
    assert not enter("lena").is_superuser
    slapd.change(server.ADMINS, member=[server.TOM])
    try:
        assert client_of("wei").get("/api/v2.0/users").status_code == 403
    finally:
        slapd.change(server.ADMINS, member=[server.WEI])


def test_an_active_directory_works_by_account_name(directory: Configure, library: Project) -> None:
    """Nested groups and the administrators' group included; `member` of `group` entries, names with commas."""
    directory(
        base_dn=server.AD_PEOPLE,
        search_dn=server.AD_SEARCH_DN,
        uid="sAMAccountName",
        filter="(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        group_base_dn=server.AD_GROUPS,
        group_search_filter="(objectClass=group)",
        group_admin_dn=server.AD_ADMINS,
    )
    give(library, known_group(server.AD_DEVELOPERS, "Developers"), Role.DEVELOPER)
    directory_has_no_such_attribute = enter("anna")
    assert directory_has_no_such_attribute is None, "an attribute that a server does not know fits nobody"
    directory(
        base_dn=server.AD_PEOPLE,
        search_dn=server.AD_SEARCH_DN,
        uid="sAMAccountName",
        filter="(objectClass=user)",
        group_base_dn=server.AD_GROUPS,
        group_search_filter="(objectClass=group)",
        group_admin_dn=server.AD_ADMINS,
    )
    anna = enter("anna")
    assert (anna.realname, anna.email) == ("Schmidt Anna", "anna@corp.test")
    assert (anna.is_superuser, can(anna, "repository:push", library)) == (True, True)
    assert not enter("tom").is_superuser


# --- sessions ---------------------------------------------------------------------------------------------


def later(user: User, minutes: int) -> None:
    User.objects.filter(pk=user.pk).update(synced_at=timezone.now() - timedelta(minutes=minutes))


def signed_in_as(name: str) -> tuple[Client, User]:
    client = Client()
    assert client.post("/login/", {"username": name, "password": PASSWORD}).status_code == 302
    return client, User.objects.get(username=name)


def test_a_session_asks_the_directory_again_after_five_minutes(
    directory: Configure, slapd: Slapd, library: Project
) -> None:
    give(library, known_group(server.DEVELOPERS, "developers"), Role.DEVELOPER)
    client, lena = signed_in_as("lena")
    slapd.change(server.DEVELOPERS, member=[server.TOM])
    try:
        before = len(slapd.operations())
        later(lena, 4)
        assert client.get("/projects/library/").status_code == 200
        assert len(slapd.operations()) == before
        later(lena, 6)
        assert client.get("/projects/library/").status_code == 404, "a private project of strangers"
        assert slapd.operations()[before:] == ["BIND", "SRCH"]
    finally:
        slapd.change(server.DEVELOPERS, member=[server.LENA, server.TOM])


def test_a_session_ends_for_good_when_the_directory_does_not_know_the_person_any_more(
    directory: Configure, slapd: Slapd
) -> None:
    client, lena = signed_in_as("lena")
    slapd.change(server.LENA, employeeType=["left"])
    try:
        later(lena, 6)
        assert client.get("/account/").status_code == 302
        assert client.get("/account/").status_code == 302
        assert enter("lena") is None
    finally:
        slapd.change(server.LENA, employeeType=["active"])
    assert client.get("/account/").status_code == 302
    assert enter("lena") == lena
    assert SESSION_KEY not in client.session


def test_a_session_goes_on_while_the_directory_does_not_answer(directory: Configure, library: Project) -> None:
    client, lena = signed_in_as("lena")
    later(lena, 6)
    directory(url="ldap://127.0.0.1:1")
    assert client.get("/account/").status_code == 200
    lena.refresh_from_db()
    assert lena.synced_at
    assert timezone.now() - lena.synced_at > timedelta(minutes=3), "and is tried again soon"


# --- what is not theirs to do -----------------------------------------------------------------------------


def test_passwords_of_a_directory_are_not_changed_here(directory: Configure, admin: User) -> None:
    lena = enter("lena")
    address = f"/api/v2.0/users/{lena.pk}/password"
    new = {"old_password": PASSWORD, "new_password": "Another12345"}
    for client in (client_of("lena"), client_of("admin", "Secret12345")):
        answer = client.put(address, new, content_type="application/json")
        assert answer.status_code == 403, answer.content
    browser, _user = signed_in_as("lena")
    assert browser.get("/account/password/").status_code == 403
    assert enter("lena", "Another12345") is None
    lena.refresh_from_db()
    assert not lena.has_usable_password()


def test_nobody_signs_up_where_users_come_from_a_directory(directory: Configure) -> None:
    params.update({"self_registration": True})
    params.forget()
    new = {"username": "eve", "email": "eve@x.example", "realname": "Eve", "password": "Secret12345"}
    assert Client().post("/api/v2.0/users", new, content_type="application/json").status_code == 403
    assert Client().get("/sign-up/").status_code == 404


def test_a_member_of_the_database_and_of_the_directory_have_the_same_rights(
    directory: Configure, library: Project, carol: User
) -> None:
    lena = enter("lena")
    for user in (carol, lena):
        add(library, user, Role.DEVELOPER)
        assert can(user, "repository:push", library)
