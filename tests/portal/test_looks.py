"""How somebody has their lists: columns, size of a page, cards."""

from __future__ import annotations

import re

from django.test import Client

from projects import params
from projects.models import Label, Member, Project, User
from projects.permissions import Role
from projects.services.settings import change_settings
from registry.models import Repository
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_repository

LIST = "/projects/library/members/"


def titles(client: Client, address: str = LIST) -> list[str]:
    return re.findall(r'<th scope="col" class="[^"]*column-(\w+)', client.get(address).content.decode())


def hide(client: Client, *shown: str, address: str = LIST) -> int:
    return client.post(address, {"columns": ["", *shown]}).status_code


def test_columns_are_hidden_for_who_has_hidden_them(
    alice: User, bob: User, library: Project, signed_in: SignedIn
) -> None:
    """Wherever they sign in, in this list alone; the first column, which leads to the rows, stays."""
    every = titles(signed_in(alice))
    assert every == ["name", "kind", "role_name", "since"]
    assert hide(signed_in(alice), "role_name", "ghost") == 302
    assert titles(signed_in(alice)) == ["name", "role_name"]
    assert titles(signed_in(bob)) == every
    assert "created" in titles(signed_in(alice), "/projects/")
    alice.refresh_from_db()
    assert alice.lists == {"MemberAdmin": {"hidden": ["kind", "since"]}}
    hide(signed_in(alice), *every)
    assert titles(signed_in(alice)) == every


def test_hiding_a_column_leaves_search_order_and_choices_alone(
    alice: User, bob: User, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    hide(client)
    page = client.get(LIST, {"q": "bob", "o": "-1", "page_size": "25"}).content.decode()
    assert "bob" in page
    assert 'name="_selected_action"' in page
    assert client.post(f"{LIST}?q=bob", {"columns": [""]})["Location"] == f"{LIST}?q=bob"


def test_visitors_are_not_asked(commons: Project, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(None)
    assert 'class="menu lines columns"' not in client.get("/projects/").content.decode()
    assert hide(client, address="/projects/") == 403
    assert hide(client, address=LIST) == 404


def test_columns_are_hidden_in_read_only_mode_too_and_nothing_else_slips_in(
    alice: User, admin: User, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    change_settings(values={"read_only": True}, actor=admin)
    params.forget()
    assert hide(client, "role_name") == 302
    assert titles(client) == ["name", "role_name"]
    label = {"name": "x", "color": "#C92100", "columns": ["", "name"]}
    assert client.post("/projects/library/labels/new/", label).status_code == 200
    assert not Label.objects.exists()
    member = Member.objects.get(project=library, user=alice)
    chosen = {"_selected_action": [member.pk], "role": "3", "index": "0", "columns": ["", "name"]}
    client.post(LIST, {"action": "set_role", **chosen})
    client.post(LIST, {"action": "remove_chosen", "confirmed": "yes", **chosen})
    member.refresh_from_db()
    assert member.role == Role.PROJECT_ADMIN


def test_the_size_of_a_page_is_kept_for_each_list(alice: User, library: Project, signed_in: SignedIn) -> None:
    for number in range(30):
        make_repository(library, f"r{number:02}")
    here, client = "/projects/library/repositories/", signed_in(alice)
    answer = client.post(f"{here}?q=r&p=2", {"page_size": "25"})
    assert answer["Location"] == f"{here}?q=r"
    assert "1–25 of 30" in signed_in(alice).get(here).content.decode()
    assert "1–15 of 30" in client.get(f"{here}?page_size=15").content.decode(), "an address says otherwise"
    assert "1–25 of 30" in client.get(f"{here}?page_size=7").content.decode()
    client.post(here, {"page_size": "1000000"})
    assert "1–25 of 30" in client.get(here).content.decode()
    assert alice_lists(alice) == {"RepositoryAdmin": {"size": 25}}


def test_repositories_are_seen_as_cards_by_who_has_chosen_so(
    alice: User, carol: User, commons: Project, signed_in: SignedIn
) -> None:
    make_artifact(make_repository(commons, "kettle", description="Boils *water*."), "1")
    here = "/projects/commons/repositories/"
    for who in (alice, carol):
        client = signed_in(who)
        assert 'id="result_list"' in client.get(here).content.decode()
        assert client.post(f"{here}?o=1", {"cards": "1"})["Location"] == f"{here}?o=1"
        page = signed_in(who).get(here).content.decode()
        assert 'id="result_list"' not in page
        assert '<p class="about">Boils water.' in page, "Markdown as plain text"
        assert 'href="/projects/commons/repositories/kettle/"' in page
        assert "1 artifact · 0 pulls" in page
        assert ('name="_selected_action"' in page) == (who == alice), "only who may delete chooses"
    assert alice_lists(alice) == {"RepositoryAdmin": {"cards": True}}
    client.post(here, {"cards": "0"})
    assert 'id="result_list"' in client.get(here).content.decode()


def test_visitors_see_cards_by_address_and_other_lists_have_none(
    alice: User, commons: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    make_artifact(make_repository(commons, "kettle"), "1")
    page = signed_in(None).get("/projects/commons/repositories/?cards=1").content.decode()
    assert 'id="result_list"' not in page
    assert "kettle" in page
    assert signed_in(None).post("/projects/commons/repositories/", {"cards": "1"}).status_code == 403
    client = signed_in(alice)
    client.post("/projects/library/members/", {"cards": "1"})
    assert 'id="result_list"' in client.get("/projects/library/members/?cards=1").content.decode()
    assert alice_lists(alice) == {}


def alice_lists(alice: User) -> object:
    return User.objects.get(pk=alice.pk).lists
