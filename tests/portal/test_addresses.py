"""Every address of the portal, typed by hand: what each role is answered, and what nobody gets by a POST."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve

from harborsite.portal.site import PortalSite
from projects.models import Project, User
from projects.services.settings import change_settings
from tests.portal.addresses import RUNS, address_of, names
from tests.portal.conftest import SignedIn
from tests.portal.screenshots import PAGES
from tests.portal.test_access import EVERYONE, MEMBERS
from tests.portal.test_browser_looks import SIGNED_OUT

People = dict[str, User | None]
ANYBODY = "index login login_code sign_up logout language theme close_banner about search projects"
PERSONS = "logs new_project profile preferences second_factor password_change"
# what is in a project, by those who may open it
IN_PROJECT = {
    EVERYONE[:2]: """
        project_logs new_member new_group_member member_candidates new_project_robot project_robot_secret new_webhook
        webhook test_webhook""",
    EVERYONE[:3]: """
        project_labels new_project_label project_label webhooks webhook_runs webhook_run webhook_run_log
        webhook_run_tasks remove_tags
        delete_artifact immutable_rules new_immutable_rule immutable_rule""",
    EVERYONE[:4]: """
        project_configuration project_scanner add_tag label_artifact unlabel describe policy retention_preview
        new_retention_rule retention_rule switch_retention_rule delete_retention_rule retention_schedule run_retention
        try_retention retention_runs retention_run retention_run_tasks stop_retention_run retention_run_log""",
    EVERYONE[:5]: "members project_robots project_robot",
    MEMBERS: "summary storage repositories repository artifact accessories copy_artifact",
}
STOPPED_BY = {"stop_webhook_run": EVERYONE[:2]}
PUBLIC = {
    "stranger": ["summary", "repositories", "repository", "artifact", "accessories", "copy_artifact"],
    "nobody": ["summary", "repositories", "repository", "artifact", "accessories"],
}


# Pages that are not opened one by one in every look, each with the reason.
NOT_LOOKED_AT = {
    **dict.fromkeys(("logout", "language", "theme", "close_banner", "job_scheduler"), "takes a POST and shows nothing"),
    **dict.fromkeys(("test_server", "switch_retention_rule"), "takes a POST and shows nothing"),
    **dict.fromkeys(("remove_tags", "label_artifact", "unlabel"), "takes a POST and goes back to the artifact"),
    "index": "sends on to the projects",
    "login_code": "looked at after the sign-in of somebody who has a second factor",
    "member_candidates": "names for the form of a new member",
    "stop_running_jobs": "the question of stop-waiting",
    **{f"stop_{run}": "the question of stop-waiting" for run in RUNS},
    **{f"{run}_tasks": "rows that unfold below an execution's" for run in RUNS},
    "accessories": "rows that unfold below an artifact's",
    "delete_retention_rule": "the question of stop-waiting",
    "try_retention": "the question of run-retention",
    **{f"try_{run}": "the form of start-clean-up" for run in ("purge_run", "garbage_run", "check_run")},
    **dict.fromkeys(("purge_run_schedule", "check_run_schedule"), "the form of clean-up-schedule"),
    **dict.fromkeys(("purge_run_log", "check_run_log"), "the log of clean-up-run-log"),
    "retention_runs": "the list that is below the policy",
    **dict.fromkeys(("new_project_label", "project_label"), "the form of label and new-label"),
    "robot": "the form of project-robot",
    "project_robot_secret": "the form of robot-secret",
    "new_webhook": "the form of edit-webhook",
    "retention_rule": "the form of new-retention-rule",
    "immutable_rule": "the form of new-immutable-rule",
    "new_replication": "the form of edit-replication",
}


def rules() -> dict[str, tuple[str, ...]]:
    """Who may open what is in a project."""
    return {name: who for who, listed in IN_PROJECT.items() for name in listed.split()} | STOPPED_BY


def expected(name: str, who: str, *, public: bool = False) -> int:
    """The status for this page: 200 also where it only sends on or wants a POST, 302 where one has to sign in."""
    open_to = rules().get(name)
    if name in ANYBODY.split() or (open_to and (name in PUBLIC[who] if public else who in open_to)):
        return 200
    if open_to:
        return 403 if public or who in MEMBERS else 404
    if who == "nobody":
        return 302
    return 200 if who == "admin" or name in PERSONS.split() else 403


def status_of(answer: Any) -> int:
    """As `expected` counts; a page without its policy is as good as none."""
    sent_on = answer.status_code == 302 and not answer.headers["Location"].startswith("/login/?next=")
    if "default-src 'self'" not in answer.headers.get("Content-Security-Policy", ""):
        return 0
    return 200 if sent_on or answer.status_code == 405 else int(answer.status_code)


def looked_at(client: Client, address: str) -> str:
    """Where `screenshots.visit` ends, without a browser."""
    address, *steps = re.split(r"#(first|log)", address)
    links = {"first": r'<th\b[^>]*>\s*<a href="([^"]+)"', "log": r'<a[^>]* href="([^"]*/log/[^"]*)"'}
    for step, below in zip(steps[::2], steps[1::2], strict=True):
        listed = client.get(address).content.decode().partition('id="result_list"')[2].partition("<tbody")[2]
        link = re.search(links[step], listed)
        assert link, f"{address} has no {step}"
        address = urljoin(address, unescape(link[1])) + below
    return address


def rows() -> list[Any]:
    """Everything that the database holds, but for sessions."""
    ours = [model for model in apps.get_models() if model.__module__.partition(".")[0] != "django"]
    return [list(model._default_manager.order_by("pk").values_list()) for model in ours]


def test_the_table_names_pages_that_there_are() -> None:
    assert {*rules(), *ANYBODY.split(), *PERSONS.split()} <= names().keys()
    assert {name for name, parts in names().items() if "project" in parts} == rules().keys()


def test_every_page_is_looked_at_or_has_a_reason(crowd: People, signed_in: SignedIn) -> None:
    """What is in PAGES is opened in Chromium, in both languages, widths and themes, and examined by axe-core."""
    client = signed_in(crowd["admin"])
    seen = set()
    for address in [*PAGES.values(), *SIGNED_OUT.values()]:
        path = urlsplit(looked_at(client, address)).path
        if path != PAGES["missing"] and not path.startswith("/devcenter"):
            seen.add(resolve(path).url_name)
    assert sorted(names().keys() - seen) == sorted(NOT_LOOKED_AT)


def test_each_address_answers_by_role(crowd: People, signed_in: SignedIn) -> None:
    """By GET and, where it is refused, by POST; what is no project's and not everybody's is the administrators'."""
    shop, wrong = Project.objects.get(name="web-shop"), []
    change_settings(values={"self_registration": True}, actor=shop.owner)
    for who in EVERYONE:
        client = signed_in(crowd[who])
        before = rows()
        for name in names():
            address, right = address_of(name, shop), expected(name, who)
            found = [status_of(client.get(address))]
            if right != 200:
                found.append(status_of(client.post(address, {"confirmed": "yes"})))
            wrong += [f"{who}: {address}: {status}, not {right}" for status in found if status != right]
        assert rows() == before, f"looking round as {who} has changed something"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_a_public_project_answers_strangers_for_its_images_alone(who: str, crowd: People, signed_in: SignedIn) -> None:
    shop, client = Project.objects.get(name="web-shop"), signed_in(crowd[who])
    Project.objects.filter(pk=shop.pk).update(public=True)
    found = {name: status_of(client.get(address_of(name, shop))) for name in rules()}
    assert found == {name: expected(name, who, public=True) for name in rules()}


@pytest.mark.parametrize("who", ["guest", "limited guest", "stranger", "nobody"])
def test_no_action_of_any_list_does_anything_for_who_may_only_read(
    who: str, crowd: People, signed_in: SignedIn
) -> None:
    """Every action that some list has, sent to every address for every row."""
    shop, client = Project.objects.get(name="web-shop"), signed_in(crowd[who])
    Project.objects.filter(pk=shop.pk).update(public=who in {"stranger", "nobody"})
    actions = {str(name) for page in cast("PortalSite", admin.site).portal_admins for name in page.actions or ()}
    assert len(actions) > 5
    before = rows()
    chosen = [str(number) for number in range(1, 60)]
    for name in [*rules(), "projects", "search"]:
        address = address_of(name, shop)
        for action in sorted(actions):
            entered = {"action": action, "_selected_action": chosen, "confirmed": "yes", "index": "0", "role": "1"}
            client.post(address, entered)
    assert rows() == before


def test_no_address_takes_a_post_without_the_token(crowd: People, signed_in: SignedIn) -> None:
    shop = Project.objects.get(name="web-shop")
    for who, sent_to in (("admin", [*names()]), ("nobody", ANYBODY.split())):
        client = Client(enforce_csrf_checks=True)
        if person := crowd[who]:
            client.force_login(person)
        before, wrong = rows(), []
        for name in sent_to:
            answer = client.post(address_of(name, shop), {"confirmed": "yes", "language": "en", "theme": "dark"})
            if answer.status_code != 403 or "came from another site" not in answer.content.decode():
                wrong.append(f"{who}: {name}: {answer.status_code}")
        assert not wrong, "\n".join(wrong)
        assert rows() == before


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_what_goes_wrong_is_said_in_ones_language_and_with_the_policy(
    language: str, admin: User, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before anybody was recognised, and where the server itself has failed."""

    def fail(request: object) -> HttpResponse:
        raise RuntimeError("a canary of the server's own")

    for client in (signed_in(admin), signed_in(None)):
        client.raise_request_exception = False
        client.cookies["django_language"] = language
        answers = {
            404: client.get("/nothing/"),
            400: client.get("/projects/?owner__password__startswith=a"),
        }
        no_name = client.get("/projects/", headers={"host": "no name"})
        with monkeypatch.context() as patched:
            patched.setattr("harborsite.portal.site.account.must_change_password", fail)
            answers[500] = client.get("/about/", headers={"X-Request-Id": "canary-7"})
        for status, answer in [*answers.items(), (400, no_name)]:
            page = answer.content.decode()
            assert answer.status_code == status
            assert status_of(answer) == status
            assert f'<html lang="{language}"' in page
            assert ("Go to projects" in page) == (language == "en")
        assert "canary-7" in answers[500].content.decode()
        assert "a canary of the server's own" not in answers[500].content.decode()
