"""Who sees which page of the portal, and what happens to who asks for another one."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from projects.models import Member, Project, User
from registry.models import Artifact, Repository
from tests.factories import make_project
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_repository

EVERYONE = (
    "admin",
    "project admin",
    "maintainer",
    "developer",
    "guest",
    "limited guest",
    "stranger",
    "nobody",
)
MEMBERS = EVERYONE[:6]
# address below the project -> who may open it
TABS = {
    "": MEMBERS,
    "repositories/": MEMBERS,
    "repositories/shelf/": MEMBERS,
    "members/": EVERYONE[:5],
    "members/new/": EVERYONE[:2],
    "members/new/candidates/": EVERYONE[:2],
    "labels/": EVERYONE[:3],
    "labels/new/": EVERYONE[:3],
    "robots/": EVERYONE[:5],
    "robots/new/": EVERYONE[:2],
    "webhooks/": EVERYONE[:3],
    "webhooks/new/": EVERYONE[:2],
    "logs/": EVERYONE[:2],
    "configuration/": EVERYONE[:4],
    "scanner/": EVERYONE[:4],
}
People = dict[str, User | None]


@pytest.mark.parametrize("who", EVERYONE)
def test_a_private_project_opens_to_its_members_as_far_as_their_role_goes(
    who: str, people: People, shelf: Repository, signed_in: SignedIn
) -> None:
    """Members get 403 for what their role closes; for everyone else there is no such project."""
    client = signed_in(people[who])
    for tab, allowed in TABS.items():
        expected = 200 if who in allowed else 403 if who in MEMBERS else 404
        assert client.get(f"/projects/library/{tab}").status_code == expected, tab


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_a_public_project_shows_its_images_to_everyone_and_nothing_else(
    who: str, people: People, commons: Project, signed_in: SignedIn
) -> None:
    client = signed_in(people[who])
    make_repository(commons, "shelf")
    for tab in ("", "repositories/", "repositories/shelf/"):
        assert client.get(f"/projects/commons/{tab}").status_code == 200, tab
    for tab in (
        "members/",
        "members/new/",
        "members/new/candidates/",
        "labels/",
        "robots/",
        "robots/new/",
        "webhooks/",
        "logs/",
        "configuration/",
    ):
        assert client.get(f"/projects/commons/{tab}").status_code == 403, tab


@pytest.mark.parametrize("who", EVERYONE)
def test_the_tabs_shown_are_the_tabs_that_open(who: str, people: People, commons: Project, signed_in: SignedIn) -> None:
    client = signed_in(people[who])
    page = client.get("/projects/commons/").content.decode()
    for tab in ("repositories", "members", "labels", "scanner", "robots", "webhooks", "logs", "configuration"):
        address = f"/projects/commons/{tab}/"
        shown = f'href="{address}"' in page
        assert shown == (client.get(address).status_code == 200), tab


@pytest.mark.parametrize("who", ["maintainer", "developer", "guest", "limited guest", "stranger", "nobody"])
def test_no_write_control_is_shown_and_a_hand_made_post_changes_nothing(
    who: str, people: People, commons: Project, signed_in: SignedIn
) -> None:
    """Nobody but a project administrator changes members, and only of the own project."""
    client = signed_in(people[who])
    row = Member.objects.filter(project=commons).exclude(user=people[who]).first()
    assert row
    for address in ("/projects/commons/members/", "/projects/", "/projects/commons/"):
        page = client.get(address)
        if page.status_code == 200:
            assert 'name="action"' not in page.content.decode(), address
    for action in ("set_role", "remove_chosen"):
        client.post(
            "/projects/commons/members/",
            {"action": action, "_selected_action": [row.pk], "role": "1", "confirmed": "yes", "index": "0"},
        )
    client.post("/projects/commons/members/new/", {"username": "carol", "role": "1"})
    client.post("/projects/", {"action": "delete_chosen", "_selected_action": [commons.pk], "confirmed": "yes"})
    before = row.role
    row.refresh_from_db()
    assert row.role == before
    assert Project.objects.filter(pk=commons.pk).exists()
    assert not Member.objects.filter(project=commons, user__username="carol").exists()


def test_rows_of_another_project_are_out_of_reach_of_an_action(
    people: People, library: Project, carol: User, signed_in: SignedIn
) -> None:
    """carol administers her own project; the ids of another one's members do nothing there."""
    make_project("carols", carol)
    other = Member.objects.filter(project=library).exclude(user=carol)
    signed_in(carol).post(
        "/projects/carols/members/",
        {"action": "remove_chosen", "_selected_action": [row.pk for row in other], "confirmed": "yes"},
    )
    assert Member.objects.filter(project=library).count() == other.count() == 5


def test_deleting_skips_projects_that_one_does_not_administer(
    commons: Project, carol: User, signed_in: SignedIn
) -> None:
    own = make_project("carols", carol)
    answer = signed_in(carol).post(
        "/projects/",
        {"action": "delete_chosen", "_selected_action": [own.pk, commons.pk], "confirmed": "yes"},
        follow=True,
    )
    assert not Project.objects.filter(pk=own.pk).exists()
    assert Project.objects.filter(pk=commons.pk).exists()
    assert "commons: Your role does not allow this." in answer.content.decode()


def test_private_names_leak_through_no_list(people: People, library: Project, signed_in: SignedIn) -> None:
    for client in (signed_in(people["stranger"]), signed_in(None)):
        for address in ("/projects/", "/projects/?q=lib", "/search/?q=lib", "/projects/?access=private"):
            page = client.get(address).content.decode()
            assert "/projects/library/" not in page, address


def test_the_list_of_projects_holds_the_public_ones_for_visitors(
    commons: Project, library: Project, signed_in: SignedIn
) -> None:
    answer = signed_in(None).get("/", follow=True)
    assert answer.redirect_chain == [("/projects/", 302)]
    page = answer.content.decode()
    assert "/projects/commons/repositories/" in page
    assert "/new-project/" not in page


def test_the_admins_own_addresses_are_not_mounted() -> None:
    """They would show more than a tab does: automatic add, change, delete and history pages."""
    names = {str(name) for name in get_resolver().reverse_dict} | {
        str(name) for _, resolver in get_resolver().namespace_dict.values() for name in resolver.reverse_dict
    }
    assert not [name for name in names if name.endswith(("_changelist", "_add", "_delete", "_history"))]


@pytest.mark.parametrize(
    "address",
    [
        "/projects/project/",
        "/projects/member/",
        "/projects/user/1/change/",
        "/auth/group/",
        "/registry/artifact/",
        "/autocomplete/",
        "/jsi18n/",
        "/r/1/1/",
        "/admin/",
    ],
)
def test_stock_addresses_find_nothing(address: str, admin: User, signed_in: SignedIn) -> None:
    assert signed_in(admin).get(address).status_code == 404


def test_an_unknown_filter_is_refused(admin: User, commons: Project, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    assert client.get("/projects/?owner__password__startswith=a").status_code == 400
    assert client.get("/users/?password__startswith=a").status_code == 400


def test_one_repository_does_not_show_the_artifacts_of_another(
    people: People, shelf: Repository, library: Project, signed_in: SignedIn
) -> None:
    other = make_repository(library, "other")
    artifact = Artifact.objects.filter(repository=shelf).first()
    assert artifact
    client = signed_in(people["guest"])
    assert client.get(f"/projects/library/repositories/shelf@{artifact.digest}/").status_code == 200
    assert client.get(f"/projects/library/repositories/{other.short_name}@{artifact.digest}/").status_code == 404
