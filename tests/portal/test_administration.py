"""Robot accounts, labels, quotas, settings: of a project and of the system."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import pytest
from django.contrib.auth.hashers import check_password
from django.test import Client

from audit.events import EVENT_TYPES
from audit.models import AuditLog
from harborsite import config
from projects import params
from projects.models import Label, Project, Quota, Robot, User
from projects.services.settings import change_settings
from tests.factories import PASSWORD, basic, grant, make_robot
from tests.portal.conftest import SignedIn

People = dict[str, User | None]


def secret_in(page: str) -> str:
    """The secret that the page shows: 32 letters and digits to copy."""
    found = re.search(r'data-copy="([A-Za-z0-9]{32})"', page)
    assert found
    return found[1]


def rights_of(robot: Robot) -> dict[str, set[str]]:
    """What it may do where."""
    return {
        held["namespace"]: {f"{access['resource']}:{access['action']}" for access in held["access"]}
        for held in robot.permissions
    }


def test_a_project_robot_is_made_and_its_secret_shown_once(alice: User, library: Project, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    entered = {"name": "ci", "days": "30", "project_rights": ["repository:pull", "repository:push"]}
    answer = client.post("/projects/library/robots/new/", entered)
    secret = secret_in(answer.content.decode())
    robot = Robot.objects.get(name="library+ci")
    assert robot.permissions == [grant("library", "repository:pull", "repository:push")]
    assert robot.duration == 30
    token = Client().get(
        "/service/token", {"service": "harbor-registry"}, headers={"Authorization": basic(robot.username, secret)}
    )
    assert token.status_code == 200
    assert secret not in client.get(f"/projects/library/robots/{robot.pk}/").content.decode()
    assert "no-store" in answer.headers["Cache-Control"]

    fresh = secret_in(client.post(f"/projects/library/robots/{robot.pk}/secret/").content.decode())
    assert fresh != secret
    robot.refresh_from_db()
    client.post(f"/projects/library/robots/{robot.pk}/", {"description": "x", "project_rights": ["repository:pull"]})
    robot.refresh_from_db()
    assert robot.permissions == [grant("library", "repository:pull")]
    assert robot.duration == -1


@pytest.mark.parametrize("rights", [[], ["user:create"], ["repository:fly"]])
def test_a_robot_without_rights_or_with_unknown_ones_is_refused(
    rights: list[str], alice: User, library: Project, signed_in: SignedIn
) -> None:
    answer = signed_in(alice).post("/projects/library/robots/new/", {"name": "ci", "project_rights": rights})
    assert answer.status_code == 200
    assert 'class="error"' in answer.content.decode() or 'class="field-error"' in answer.content.decode()
    assert not Robot.objects.exists()


def test_robots_of_another_project_are_out_of_reach(
    alice: User, library: Project, commons: Project, people: People, signed_in: SignedIn
) -> None:
    """A guest of both may look at robots, and changes none; the address of the wrong project finds nothing."""
    robot = make_robot("ci", grant("commons", "repository:pull"), project=commons)
    assert signed_in(alice).get(f"/projects/library/robots/{robot.pk}/").status_code == 404
    assert signed_in(alice).post(f"/projects/library/robots/{robot.pk}/secret/").status_code == 404
    guest = signed_in(people["guest"])
    page = guest.get(f"/projects/commons/robots/{robot.pk}/").content.decode()
    assert "disabled" in page
    assert 'type="submit">Save' not in page
    before = robot.secret
    assert guest.post(f"/projects/commons/robots/{robot.pk}/secret/").status_code == 403
    guest.post(f"/projects/commons/robots/{robot.pk}/", {"project_rights": ["repository:push"]})
    guest.post("/projects/commons/robots/", {"action": "disable", "_selected_action": [robot.pk], "index": "0"})
    robot.refresh_from_db()
    assert robot.secret == before
    assert robot.permissions == [grant("commons", "repository:pull")]
    assert not robot.disable


def test_a_system_robot_may_have_rights_in_some_projects_or_in_all(
    admin: User, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(admin)
    client.post(
        "/robots/new/",
        {
            "name": "one",
            "projects": "library",
            "project_rights": ["repository:pull"],
            "system_rights": ["catalog:read"],
        },
    )
    assert Robot.objects.get(name="one").permissions == [
        grant("/", "catalog:read", kind="system"),
        grant("library", "repository:pull"),
    ]
    client.post("/robots/new/", {"name": "all", "projects": "*", "project_rights": ["repository:pull"]})
    assert Robot.objects.get(name="all").permissions == [grant("*", "repository:pull")]
    half = client.post("/robots/new/", {"name": "half", "projects": "library"}).content.decode()
    assert "Choose both projects and rights in them" in half


def test_a_system_robot_may_have_other_rights_in_other_projects_and_keeps_them(
    admin: User, library: Project, commons: Project, signed_in: SignedIn
) -> None:
    """Groups of projects with the same rights; a button asks for one more group, and loses nothing."""
    client = signed_in(admin)
    entered = {"name": "both", "days": "30", "projects": "library", "project_rights": ["repository:pull"]}
    page = client.post("/robots/new/", {**entered, "more": "yes"}).content.decode()
    assert not Robot.objects.exists()
    assert 'name="projects" value="library"' in page
    assert 'name="project_rights" value="repository:pull" checked' in page
    assert 'name="projects_2"' in page
    both = {**entered, "projects_2": "commons", "project_rights_2": ["tag:list", "repository:push"]}
    twice = client.post("/robots/new/", {**both, "projects_2": "library"}).content.decode()
    assert "library is named twice." in twice
    client.post("/robots/new/", both)
    robot = Robot.objects.get()
    kept = {"library": {"repository:pull"}, "commons": {"repository:push", "tag:list"}}
    assert rights_of(robot) == kept
    listed = client.get("/robots/").content.decode()
    assert "library: 1 right<br>commons: 2 rights" in listed

    form = client.get(f"/robots/{robot.pk}/").content.decode()
    assert 'name="projects" value="library"' in form
    assert 'name="projects_2" value="commons"' in form
    del both["name"]
    assert client.post(f"/robots/{robot.pk}/", {**both, "description": "x"}).status_code == 302
    robot.refresh_from_db()
    assert robot.description == "x"
    assert rights_of(robot) == kept, "nothing has been widened"


def test_a_robot_is_named_as_it_signs_in_and_says_when_it_ends(
    admin: User, alice: User, library: Project, signed_in: SignedIn
) -> None:
    change_settings(values={"robot_name_prefix": "bot$"}, actor=admin)
    params.forget()
    inside = signed_in(alice).get("/projects/library/robots/new/").content.decode()
    assert "It signs in as bot$library+ with this name." in inside
    assert "It signs in as bot$ with this name." in signed_in(admin).get("/robots/new/").content.decode()
    assert 'data-says="It expires on {date}."' in inside


def test_a_secret_is_saved_to_a_file_once_and_may_be_ones_own(
    alice: User, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    robot = make_robot("ci", grant("library", "repository:pull"), project=library)
    address = f"/projects/library/robots/{robot.pk}/secret/"
    asked = client.get(address).content.decode()
    assert "the old one works no more" in asked
    for own, again, says in (("Mine12345", "Mine1234", "The two secrets differ."), ("weak", "weak", "field-error")):
        refused = client.post(address, {"secret": own, "again": again})
        assert says in refused.content.decode()
        assert own not in refused.content.decode()
    page = client.post(address, {"secret": "Mine12345", "again": "Mine12345"}).content.decode()
    assert 'data-copy="Mine12345"' in page
    file = re.search(r'href="data:application/json;base64,([^"]+)" download="robot\$library\+ci.json"', page)
    assert file
    told = json.loads(b64decode(file[1]))
    assert (told["name"], told["secret"], told["expires_at"]) == (robot.username, "Mine12345", robot.expires_at)
    robot.refresh_from_db()
    assert check_password("Mine12345", robot.secret)


def test_robots_are_disabled_and_deleted(alice: User, library: Project, signed_in: SignedIn) -> None:
    robot = make_robot("ci", grant("library", "repository:pull"), project=library)
    client = signed_in(alice)
    chosen = {"_selected_action": [robot.pk]}
    client.post("/projects/library/robots/", {"action": "disable", "index": "0", **chosen})
    robot.refresh_from_db()
    assert robot.disable
    asked = client.post("/projects/library/robots/", {"action": "delete_chosen", "index": "0", **chosen})
    assert "Delete robot accounts?" in asked.content.decode()
    client.post("/projects/library/robots/", {"action": "delete_chosen", "confirmed": "yes", **chosen})
    assert not Robot.objects.exists()


def test_labels_of_a_project_and_of_the_system_are_kept_apart(
    admin: User, alice: User, library: Project, signed_in: SignedIn
) -> None:
    entered = {"name": "live", "description": "", "color": "#C92100"}
    signed_in(alice).post("/projects/library/labels/new/", entered)
    signed_in(admin).post("/labels/new/", {**entered, "name": "everywhere"})
    own = Label.objects.get(project=library)
    common = Label.objects.get(project=None)
    assert "everywhere" not in signed_in(alice).get("/projects/library/labels/").content.decode()
    assert signed_in(alice).get(f"/projects/library/labels/{common.pk}/").status_code == 404
    signed_in(alice).post(f"/projects/library/labels/{own.pk}/", {**entered, "name": "lively"})
    own.refresh_from_db()
    assert own.name == "lively"
    twice = signed_in(alice).post("/projects/library/labels/new/", {**entered, "name": "lively"})
    assert "already exists" in twice.content.decode()
    signed_in(alice).post(
        "/projects/library/labels/",
        {"action": "delete_chosen", "_selected_action": [own.pk, common.pk], "confirmed": "yes"},
    )
    assert list(Label.objects.all()) == [common]


@pytest.mark.parametrize(("used", "bar", "look"), [(84, 84, ""), (85, 85, "warning"), (120, 100, "warning")])
def test_a_quota_that_is_nearly_full_stands_out(
    used: int, bar: int, look: str, admin: User, library: Project, signed_in: SignedIn
) -> None:
    Quota.objects.filter(project=library).update(used=used * 1024**2, hard=100 * 1024**2)
    page = signed_in(admin).get("/quotas/").content.decode()
    assert f'<progress max="100" value="{bar}" aria-label="{used}%" class="{look}"></progress>' in page
    assert f">{used}%<" in page


def test_quotas_are_changed_and_shown(admin: User, library: Project, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    client.post(f"/quotas/{library.quota.pk}/", {"limit": "5", "unit": "GiB"})
    client.post("/quotas/default/", {"limit": "2", "unit": "TiB"})
    library.quota.refresh_from_db()
    assert library.quota.hard == 5 * 1024**3
    params.forget()
    assert params.get(params.STORAGE_PER_PROJECT) == 2 * 1024**4
    page = client.get("/quotas/").content.decode()
    assert "5.0 GiB" in page
    assert "Limit of new projects: 2.0 TiB" in page
    client.post(f"/quotas/{library.quota.pk}/", {"limit": "", "unit": "GiB"})
    library.quota.refresh_from_db()
    assert library.quota.hard == -1


SETTINGS = {
    "project_creation_restriction": "adminonly",
    "token_expiration": "45",
    "session_timeout": "90",
    "robot_name_prefix": "bot$",
    "robot_token_duration": "7",
    "quota_per_project_enable": "on",
    "retention_delete_limit": "80",
    "notification_enable": "on",
    "recorded": list(EVENT_TYPES),
    "message": "Maintenance on <Sunday>",
    "level": "info",
}


def test_settings_are_saved_and_take_effect(admin: User, alice: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    assert client.post("/settings/", SETTINGS).status_code == 302
    params.forget()
    assert params.get(params.TOKEN_EXPIRATION) == 45
    assert params.get(params.ROBOT_NAME_PREFIX) == "bot$"
    page = signed_in(alice).get("/projects/").content.decode()
    assert "Maintenance on &lt;Sunday&gt;" in page
    assert "/new-project/" not in page
    assert signed_in(alice).get("/new-project/").status_code == 403
    refused = client.post("/settings/", {**SETTINGS, "robot_name_prefix": "plain"})
    assert refused.status_code == 200
    assert params.get(params.ROBOT_NAME_PREFIX) == "bot$"


def test_a_banner_from_harbor_keeps_its_level_and_its_dates(admin: User, signed_in: SignedIn) -> None:
    for message, shown in (
        ('{"message": "now", "type": "danger", "fromDate": "2020-01-01", "toDate": "2999-01-01"}', True),
        ('{"message": "past", "type": "danger", "toDate": "2020-01-01"}', False),
        ('{"message": "later", "type": "danger", "fromDate": "2999-01-01"}', False),
    ):
        change_settings(values={"banner_message": message}, actor=admin)
        params.forget()
        assert ('class="banner danger"' in signed_in(None).get("/projects/").content.decode()) == shown


def test_the_banner_has_a_kind_and_days_and_readers_close_it_if_they_may(admin: User, signed_in: SignedIn) -> None:
    client, reader = signed_in(admin), signed_in(None)
    dated = {**SETTINGS, "level": "warning", "closable": "on", "first": "2020-01-01", "last": "2999-01-01"}
    assert client.post("/settings/", dated).status_code == 302
    params.forget()
    assert json.loads(params.get(params.BANNER_MESSAGE)) == {
        "message": "Maintenance on <Sunday>",
        "type": "warning",
        "closable": True,
        "fromDate": "2020-01-01",
        "toDate": "2999-01-01",
    }
    form = client.get("/settings/").content.decode()
    assert '<option value="warning" selected>' in form
    assert 'value="2999-01-01"' in form

    def banner() -> str:
        return reader.get("/projects/").content.decode().partition('class="banner warning"')[2].partition("</div>")[0]

    assert "/banner/close/" in banner()
    assert reader.get("/banner/close/").status_code == 405
    assert reader.post("/banner/close/", {"next": "/projects/?o=1"})["Location"] == "/projects/?o=1"
    assert reader.post("/banner/close/", {"next": "https://elsewhere.example.com/"})["Location"] == "/"
    assert banner() == "", "closed in this browser"
    assert 'class="banner warning"' in signed_in(None).get("/projects/").content.decode()
    client.post("/settings/", {**dated, "message": "Another one"})
    params.forget()
    assert "Another one" in banner(), "what was closed is the old one"
    client.post("/settings/", {**dated, "closable": ""})
    params.forget()
    assert "/banner/close/" not in banner()
    late = client.post("/settings/", {**dated, "last": "2019-12-31"}).content.decode()
    assert "It is before the first day." in late


def test_a_banner_stays_as_it_is_while_other_settings_change(admin: User, signed_in: SignedIn) -> None:
    """Also one that Harbor's own portal has written."""
    kept = '{"closable":true,"message":"Maintenance on <Sunday>","type":"danger","toDate":"2999-01-01T08:00:00.000Z"}'
    change_settings(values={"banner_message": kept}, actor=admin)
    params.forget()
    same = {**SETTINGS, "level": "danger", "closable": "on", "last": "2999-01-01", "token_expiration": "44"}
    assert signed_in(admin).post("/settings/", same).status_code == 302
    params.forget()
    assert params.get(params.TOKEN_EXPIRATION) == 44
    assert params.get(params.BANNER_MESSAGE) == kept


def test_it_is_chosen_what_is_recorded_and_where_records_go(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    change_settings(values={"disabled_audit_log_event_types": "create_thing"}, actor=admin)
    params.forget()
    fewer = [event for event in EVENT_TYPES if event not in {"create_user", "login_user"}]
    assert client.post("/settings/", {**SETTINGS, "recorded": fewer}).status_code == 302
    params.forget()
    assert params.get(params.DISABLED_AUDIT_LOG_EVENT_TYPES) == "login_user,create_user,create_thing"
    unticked = re.findall(r'name="recorded" value="(\w+)" id="\w+">', client.get("/settings/").content.decode())
    assert unticked == ["login_user", "create_user"]
    entered = {"username": "unseen", "email": "u@example.com", "new_password": PASSWORD, "confirmation": PASSWORD}
    assert client.post("/users/new/", entered).status_code == 302
    assert not AuditLog.objects.filter(operation="create", resource_type="user").exists()
    nowhere = client.post("/settings/", {**SETTINGS, "skip_audit_log_database": "on"}).content.decode()
    assert "should be configured before" in nowhere
    refused = client.post("/settings/", {**SETTINGS, "audit_log_forward_endpoint": "nobody"}).content.decode()
    assert "could not connect to the audit endpoint" in refused
    assert not params.get(params.SKIP_AUDIT_LOG_DATABASE)


def test_webhooks_are_switched_off_for_the_whole_system(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    assert client.post("/settings/", {**SETTINGS, "notification_enable": ""}).status_code == 302
    params.forget()
    assert not params.get(params.NOTIFICATION_ENABLE)
    client.post("/settings/", SETTINGS)
    params.forget()
    assert params.get(params.NOTIFICATION_ENABLE)


def test_the_root_certificate_is_offered_where_there_is_one(admin: User, signed_in: SignedIn) -> None:
    client, file = signed_in(admin), config.current().ca_file
    assert "/systeminfo/getcert" not in client.get("/settings/").content.decode()
    file.parent.mkdir(exist_ok=True)
    file.write_text("-----BEGIN CERTIFICATE-----")
    try:
        assert "/systeminfo/getcert" in client.get("/settings/").content.decode()
    finally:
        file.unlink()


def test_nothing_in_the_registry_changes_while_it_is_read_only(
    admin: User, alice: User, library: Project, signed_in: SignedIn
) -> None:
    change_settings(values={"read_only": True}, actor=admin)
    params.forget()
    client = signed_in(alice)
    for address, entered in (
        ("/new-project/", {"name": "x"}),
        ("/projects/library/labels/new/", {"name": "x", "color": "#C92100"}),
        ("/projects/library/configuration/", {"public": "on"}),
    ):
        answer = client.post(address, entered)
        assert answer.status_code == 403
        assert "read-only" in answer.content.decode()
    library.refresh_from_db()
    assert not library.public
    assert signed_in(admin).post("/settings/", SETTINGS).status_code == 302
    params.forget()
    assert not params.get(params.READ_ONLY)


def test_a_project_is_made_public_and_private_again(alice: User, library: Project, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    client.post("/projects/library/configuration/", {"public": "on"})
    assert signed_in(None).get("/projects/library/").status_code == 200
    client.post("/projects/library/configuration/", {})
    assert signed_in(None).get("/projects/library/").status_code == 404
