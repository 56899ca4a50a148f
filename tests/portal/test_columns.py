"""Columns that somebody has hidden in a list."""

from __future__ import annotations

import re

from django.test import Client

from projects.models import Project, User
from registry.models import Repository
from tests.portal.conftest import SignedIn

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
    assert alice.hidden_columns == {"MemberAdmin": ["kind", "since"]}
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
