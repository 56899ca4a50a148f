"""The portal's pages of directories: groups, members, where users come from, and what a server answers."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from projects import params
from projects.models import Member, Project, User, UserGroup
from projects.permissions import Role
from tests import slapd as server
from tests.ldap.conftest import Configure, enter, give, known_group
from tests.slapd import PASSWORD, Slapd


@pytest.fixture
def browser(nested: Configure, admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_groups_are_listed_added_renamed_and_deleted(browser: Client, library: Project) -> None:
    assert "No group is known yet" in page(browser, "/groups/")
    refused = browser.post("/groups/new/", {"dn": f"cn=none,{server.GROUPS}", "name": ""})
    assert "LDAP Group DN is not found" in refused.content.decode()
    assert browser.post("/groups/new/", {"dn": server.DEVELOPERS.upper(), "name": ""}).status_code == 302
    group = UserGroup.objects.get()
    assert group.ldap_group_dn == server.DEVELOPERS
    assert server.DEVELOPERS in page(browser, "/groups/")
    assert browser.post(f"/groups/{group.pk}/", {"name": "devs"}).status_code == 302
    assert server.DEVELOPERS in page(browser, f"/groups/{group.pk}/")
    give(library, group, Role.DEVELOPER)
    chosen = {"action": "delete_chosen", "_selected_action": str(group.pk)}
    assert "lose at once" in browser.post("/groups/", chosen).content.decode()
    assert UserGroup.objects.exists()
    browser.post("/groups/", chosen | {"confirmed": "yes"})
    assert not UserGroup.objects.exists()
    assert not Member.objects.filter(group__isnull=False).exists()


def test_a_group_becomes_a_member_by_name_or_dn(browser: Client, library: Project) -> None:
    known_group(server.STAFF, "staff")
    address = "/projects/library/members/group/"
    assert address in page(browser, "/projects/library/members/")
    assert '<option value="staff">' in page(browser, address)
    for entered in ("staff", server.DEVELOPERS):
        assert browser.post(address, {"group": entered, "role": "2"}).status_code == 302
    assert set(Member.objects.filter(group__isnull=False).values_list("group__group_name", flat=True)) == {
        "staff",
        "developers",
    }
    assert "LDAP Group DN is not found" in browser.post(address, {"group": "x", "role": "2"}).content.decode() or (
        "no distinguished name" in browser.post(address, {"group": "x", "role": "2"}).content.decode()
    )


def test_a_person_of_the_directory_becomes_a_member_before_they_sign_in(browser: Client, library: Project) -> None:
    assert browser.post("/projects/library/members/new/", {"username": "Wei", "role": "2"}).status_code == 302
    assert enter("wei").roles_in(library) == {Role.DEVELOPER}
    answer = browser.post("/projects/library/members/new/", {"username": "nobody", "role": "2"})
    assert "There is no user nobody." in answer.content.decode()


def test_only_project_administrators_add_groups(nested: Configure, library: Project, bob: User) -> None:
    client = Client()
    client.force_login(bob)
    assert client.post("/projects/library/members/group/", {"group": "x", "role": "1"}).status_code == 403
    for path in ("/groups/", "/groups/new/", "/authentication/", "/authentication/user/", "/authentication/server/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"username": "lena"}).status_code == 403


def entered(html: str) -> dict[str, str]:
    """What the form of the page would send as it stands."""
    form = html.partition("data-guarded")[2]
    found = dict(re.findall(r'<input type="(?:text|number)" name="(\w+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<select name="(\w+)"[^>]*>.*?<option value="(\w+)" selected>', form, re.DOTALL))
    found |= dict.fromkeys(re.findall(r'<input type="checkbox" name="(\w+)"[^>]* checked', form), "on")
    return found | {"ldap_search_password": ""}


def test_the_settings_are_shown_and_saved_and_the_password_is_not_shown(browser: Client) -> None:
    html = page(browser, "/authentication/")
    assert server.SEARCH_PASSWORD not in html
    values = entered(html)
    assert values["ldap_base_dn"] == server.PEOPLE
    saved = browser.post("/authentication/", values | {"ldap_timeout": "7", "ldap_filter": "(uid=*)"})
    assert saved.status_code == 302
    params.forget()
    assert (params.get(params.LDAP_TIMEOUT), params.get(params.LDAP_FILTER)) == (7, "(uid=*)")
    assert params.get(params.LDAP_SEARCH_PASSWORD) == server.SEARCH_PASSWORD, "empty leaves the present one"
    refused = browser.post("/authentication/", values | {"ldap_filter": "(uid=*"})
    assert "ldap_filter" in refused.content.decode()
    assert "must be an LDAP filter" in refused.content.decode()


def test_the_server_is_tested_as_the_form_has_it_and_nothing_is_saved(browser: Client) -> None:
    html = page(browser, "/authentication/")
    assert 'formaction="/authentication/server/"' in html

    def said(**changes: str) -> str:
        return browser.post("/authentication/server/", entered(html) | changes).content.decode()

    let_in = "ldap: the server lets the search account in."
    assert let_in in said()
    assert "wrong DN or password" in said(ldap_search_password="wrong")
    other = said(ldap_search_dn=server.AD_SEARCH_DN, ldap_search_password=server.SEARCH_PASSWORD)
    assert let_in in other
    assert f'value="{server.AD_SEARCH_DN}"' in other, "what was entered stays"
    refused = said(ldap_filter="(uid=*")
    assert "must be an LDAP filter" in refused
    assert let_in not in refused
    params.forget()
    assert params.get(params.LDAP_SEARCH_DN) == server.SEARCH_DN
    assert params.get(params.LDAP_SEARCH_PASSWORD) == server.SEARCH_PASSWORD
    assert browser.get("/authentication/server/").status_code == 302


@pytest.mark.parametrize("changed", ["url", "search_dn"])
def test_the_kept_password_is_sent_to_no_other_server_or_account_that_is_tried(
    browser: Client, slapd: Slapd, changed: str
) -> None:
    other = {"url": f"ldap://localhost:{slapd.port}", "search_dn": server.AD_SEARCH_DN}[changed]
    values = entered(page(browser, "/authentication/")) | {f"ldap_{changed}": other}
    before = len(slapd.operations())
    html = browser.post("/authentication/server/", values).content.decode()
    assert "Enter it: the present one is sent to no other address" in html
    assert server.SEARCH_PASSWORD not in html
    assert len(slapd.operations()) == before


def test_a_user_is_tested_step_by_step(browser: Client, library: Project) -> None:
    give(library, known_group(server.STAFF, "staff"), Role.DEVELOPER)
    good = browser.post("/authentication/user/", {"username": "lena", "password": PASSWORD}).content.decode()
    assert "library: Developer (staff)" in good
    assert '<span class="badge off">' not in good
    assert PASSWORD not in good
    bad = browser.post("/authentication/user/", {"username": "lena", "password": "wrong"}).content.decode()
    assert "the server refuses it" in bad
    assert '<span class="badge off">' in bad
    assert "nothing found" in browser.post("/authentication/user/", {"username": "*"}).content.decode()
    assert not User.objects.filter(source="ldap").exists()


def test_the_list_of_users_says_where_they_come_from(browser: Client, directory: Configure) -> None:
    directory(group_admin_dn=server.ADMINS)
    enter("wei")
    html = page(browser, "/users/")
    assert re.search(r"wei.*?By the directory.*?ldap", html, re.DOTALL)
    lena = enter("lena")
    refused = browser.post(
        f"/users/{lena.pk}/password/", {"new_password": "Another12345", "confirmation": "Another12345"}
    )
    assert "kept in a directory" in refused.content.decode()
