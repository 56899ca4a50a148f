"""The walk of each role through a public project: the tabs, entries and controls it finds, and none beside them."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from projects.models import Project, User
from registry.models import Scanner
from tests.factories import make_project
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_repository

People = dict[str, User | None]
PUBLIC = "Summary, Repositories"
GUEST = "Summary, Repositories, Members, Robot accounts"
DEVELOPER = "Summary, Repositories, Members, Scanner, Robot accounts, Policy, Configuration"
MAINTAINER = "Summary, Repositories, Members, Labels, Scanner, Robot accounts, Webhooks, Policy, Configuration"
ADMIN = "Summary, Repositories, Members, Labels, Scanner, Robot accounts, Webhooks, Policy, Logs, Configuration"
TABS = {
    "admin": ADMIN,
    "project admin": ADMIN,
    "maintainer": MAINTAINER,
    "developer": DEVELOPER,
    "guest": GUEST,
    "limited guest": PUBLIC,
    "stranger": PUBLIC,
    "nobody": PUBLIC,
}
ABOVE = ("admin", "project admin")
KEEPERS = (*ABOVE, "maintainer")
MAKERS = (*KEEPERS, "developer")
HERE = "/projects/commons/"
# Page, what stands on it, and for whom.
CONTROLS: list[tuple[str, str, tuple[str, ...]]] = [
    ("/projects/", 'href="/new-project/"', tuple(who for who in TABS if who != "nobody")),
    (f"{HERE}repositories/", "Push commands", MAKERS),
    (f"{HERE}repositories/", 'value="delete_chosen"', KEEPERS),
    (f"{HERE}repositories/shelf/", "/-/description/", MAKERS),
    (f"{HERE}repositories/shelf/", 'value="delete_chosen"', KEEPERS),
    (f"{HERE}members/", f'href="{HERE}members/new/"', ABOVE),
    (f"{HERE}members/", 'value="set_role"', ABOVE),
    (f"{HERE}labels/", f'href="{HERE}labels/new/"', KEEPERS),
    (f"{HERE}scanner/", "Test connection", MAKERS),
    (f"{HERE}scanner/", "Select scanner", ABOVE),
    (f"{HERE}robots/", f'href="{HERE}robots/new/"', ABOVE),
    (f"{HERE}webhooks/", f'href="{HERE}webhooks/new/"', ABOVE),
    (f"{HERE}policy/", f'href="{HERE}policy/rules/new/"', MAKERS),
    (f"{HERE}policy/immutable/", f'href="{HERE}policy/immutable/new/"', KEEPERS),
    (f"{HERE}configuration/", '<button class="primary" type="submit">Save', ABOVE),
]


@pytest.fixture
def shelf(commons: Project) -> None:
    """An image in the public project, and a scanner for it."""
    make_artifact(make_repository(commons, "shelf"), "1.0")
    Scanner.objects.create(name="finder", url="http://finder.example.com", is_default=True)


def links(page: str, label: str) -> str:
    """What stands in the navigation of this name."""
    inside = re.search(rf'<nav[^>]*aria-label="{label}"[^>]*>(.*?)</nav>', page, re.DOTALL)
    assert inside, label
    return ", ".join(re.findall(r"<a [^>]*>([^<]+)</a>", inside[1]))


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("who", TABS)
def test_each_role_finds_its_tabs_entries_and_controls(who: str, people: People, signed_in: SignedIn) -> None:
    client = signed_in(people[who])
    summary = client.get(HERE).content.decode()
    assert links(summary, "Project") == TABS[who]
    entries = links(summary, "Main menu")
    assert ("Logs" in entries) == (who != "nobody")
    assert ("System settings" in entries) == (who == "admin")
    found = [number for number, (page, text, _) in enumerate(CONTROLS) if text in client.get(page).content.decode()]
    assert found == [number for number, (_, _, whom) in enumerate(CONTROLS) if who in whom]


def test_who_administers_a_project_administers_no_other_one(people: People, carol: User, signed_in: SignedIn) -> None:
    make_project("carols", carol)
    client = signed_in(people["project admin"])
    for address in ("/projects/carols/", "/projects/carols/members/new/", "/projects/carols/configuration/"):
        assert client.get(address).status_code == 404
        assert client.post(address, {}).status_code == 404


def test_an_administrator_demotes_others_and_never_themselves(
    boss: Client, admin: User, alice: User, library: Project
) -> None:
    for action in ("grant", "revoke", "disable", "delete_chosen"):
        chosen = {"action": action, "_selected_action": [admin.pk], "index": "0", "confirmed": "yes"}
        assert "Your own account has been left as it is." in boss.post("/users/", chosen, follow=True).content.decode()
    admin.refresh_from_db()
    assert (admin.sysadmin_flag, admin.is_active) == (True, True)
    for action, flag in (("grant", True), ("revoke", False)):
        boss.post("/users/", {"action": action, "_selected_action": [alice.pk], "index": "0"})
        alice.refresh_from_db()
        assert alice.sysadmin_flag == flag
