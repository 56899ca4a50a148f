"""The Policy tab: retention rules with their preview and runs, and immutable tags."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from harborsite.jobs import runner
from harborsite.jobs.models import Execution, Schedule, Status, Task
from projects import params
from projects.models import Project, User
from registry.models import ImmutableRule, Repository, RetentionPolicy, Tag
from registry.policies import retention
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_repository

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "/projects/library/policy/"
RULE = {
    "repository_decoration": "repoMatches",
    "repository_pattern": "**",
    "template": "latestPushedK",
    "number": "2",
    "tag_decoration": "matches",
    "tag_pattern": "v*",
    "untagged": "on",
}


@pytest.fixture
def alices(alice: User, library: Project, signed_in: SignedIn) -> Client:
    return signed_in(alice)


@pytest.fixture
def app(library: Project) -> Repository:
    """`v3`, `v2`, `v1`, newest first, and `w1`, which is older."""
    repository = make_repository(library, "app")
    for days, tag in enumerate(("v3", "v2", "v1", "w1"), 1):
        make_artifact(repository, tag, days=days)
    return repository


def rule_name() -> str:
    return retention.fingerprint(RetentionPolicy.objects.get().rules[0])


def run_everything() -> None:
    for execution in Execution.objects.filter(launched=False):
        runner.launch(execution.pk)
    for task in Task.objects.filter(status=Status.PENDING):
        runner.run(task.pk)


def test_rules_are_added_shown_edited_switched_and_deleted(alices: Client, library: Project) -> None:
    assert "No rule yet: everything stays." in alices.get(HERE).content.decode()
    assert alices.post(f"{HERE}rules/new/", RULE).status_code == 302
    (rule,) = RetentionPolicy.objects.get().rules
    assert (rule["template"], rule["params"], rule["disabled"]) == ("latestPushedK", {"latestPushedK": 2}, False)
    assert rule["tag_selectors"] == [
        {"kind": "doublestar", "decoration": "matches", "pattern": "v*", "extras": '{"untagged": true}'}
    ]
    page = alices.get(HERE).content.decode()
    assert "keep the most recently pushed 2 artifacts with tags matching" in page
    assert "with untagged ones" in page
    twice = alices.post(f"{HERE}rules/new/", RULE)
    assert "a rule is in the policy twice" in twice.content.decode()

    edited = f"{HERE}rules/{rule_name()}/"
    assert 'value="v*"' in alices.get(edited).content.decode()
    changed = {**RULE, "template": "always", "number": "", "tag_decoration": "excludes", "untagged": ""}
    assert alices.post(edited, changed).status_code == 302
    (rule,) = RetentionPolicy.objects.get().rules
    assert (rule["template"], rule["params"]) == ("always", {})
    assert "keep all artifacts with tags excluding" in (page := alices.get(HERE).content.decode())
    assert "without untagged ones" in page
    assert alices.get(edited).status_code == 404, "what it was called before"

    assert alices.get(f"{HERE}rules/{rule_name()}/switch/").status_code == 302
    assert not RetentionPolicy.objects.get().rules[0]["disabled"], "looking changes nothing"
    alices.post(f"{HERE}rules/{rule_name()}/switch/")
    assert RetentionPolicy.objects.get().rules[0]["disabled"]
    assert "Disabled" in alices.get(HERE).content.decode()
    assert "Delete this rule?" in alices.get(f"{HERE}rules/{rule_name()}/delete/").content.decode()
    assert RetentionPolicy.objects.get().rules
    alices.post(f"{HERE}rules/{rule_name()}/delete/")
    assert RetentionPolicy.objects.get().rules == []
    assert AuditLog.objects.filter(resource_type="retention", username="alice").count() == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": ""},
        {"number": "0"},
        {"number": "40000"},
        {"template": "whatever"},
        {"tag_pattern": "x" * 1025},
        {"repository_decoration": "matches"},
    ],
)
def test_a_rule_that_can_not_be_is_refused(alices: Client, wrong: dict[str, str]) -> None:
    assert alices.post(f"{HERE}rules/new/", {**RULE, **wrong}).status_code == 200
    assert not RetentionPolicy.objects.exists()


def test_the_preview_says_what_goes_and_why(alices: Client, library: Project, app: Repository) -> None:
    alices.post(f"{HERE}rules/new/", RULE)
    alices.post(f"{HERE}immutable/new/", {**RULE, "tag_pattern": "v1"})
    page = alices.get(f"{HERE}preview/").content.decode()
    assert '<dd>1 <span class="more">25 %</span></dd>' in page
    for reason, count in (("kept by rule 1", 2), ("immutable: v1", 1), ("no rule keeps it", 1)):
        assert page.count(f">{reason}</td>") == count, reason
    assert "no rule keeps it" in alices.get(f"{HERE}preview/?repository=library/app").content.decode()
    assert alices.get(f"{HERE}preview/?repository=library/other").status_code == 200


def test_a_run_is_asked_for_and_shown(alices: Client, library: Project, app: Repository) -> None:
    assert alices.get(f"{HERE}run/").status_code == 404, "no policy yet"
    alices.post(f"{HERE}rules/new/", RULE)
    assert "2 of 4 artifacts would be deleted now (50%)." in alices.get(f"{HERE}run/").content.decode()
    assert alices.get(f"{HERE}dry-run/").status_code == 200
    assert not Execution.objects.exists(), "asking starts nothing"
    answer = alices.post(f"{HERE}dry-run/")
    run = Execution.objects.latest("pk")
    assert answer["Location"] == f"{HERE}runs/{run.pk}/"
    run_everything()
    assert Tag.objects.count() == 4
    assert "2 / 4" in alices.get(f"{HERE}runs/{run.pk}/").content.decode()
    listed, below = alices.get(HERE).content.decode(), f"{HERE}runs/{run.pk}/tasks/"
    assert f'hx-get="{below}"' in listed
    assert alices.get(below)["Location"] == f"{HERE}runs/{run.pk}/", "without script"
    unfolded = alices.get(below, headers={"HX-Request": "true"}).content.decode()
    columns = listed[listed.index('id="result_list"') :].count('<th scope="col"')
    assert f'<td colspan="{columns}">' in unfolded, "as wide as the list"
    titles = re.findall(r'<th scope="col">([^<]+)</th>', unfolded)
    assert titles == ["Task", "Repository", "Status", "Retained of all", "Started", "Duration", "Log"]
    assert "2 / 4" in unfolded
    task = run.tasks.get()
    assert "no rule keeps it" in alices.get(f"{HERE}runs/{run.pk}/log/{task.pk}/").content.decode()
    alices.post(f"{HERE}run/")
    run_everything()
    assert set(Tag.objects.values_list("name", flat=True)) == {"v3", "v2"}
    assert alices.get(HERE).content.decode().count('class="unfold"') == 2


def test_a_run_that_would_delete_too_much_has_to_be_confirmed(
    alices: Client, library: Project, app: Repository
) -> None:
    for number in range(20):
        make_artifact(app, f"w{number + 2}", days=30)
    params.update({"retention_delete_limit": 50})
    alices.post(f"{HERE}rules/new/", RULE)
    assert "may delete at most 50% of the artifacts" in alices.get(f"{HERE}preview/").content.decode()
    assert "Delete more than 50%" in alices.get(f"{HERE}run/").content.decode()
    assert alices.post(f"{HERE}run/").status_code == 200, "the box is not ticked"
    assert not Execution.objects.exists()
    alices.post(f"{HERE}run/", {"ignore_limit": "on"})
    run_everything()
    assert Tag.objects.count() == 2


def test_a_schedule_is_set_and_removed(alices: Client, library: Project) -> None:
    assert "Not scheduled" in alices.get(HERE).content.decode()
    assert alices.post(f"{HERE}schedule/", {"period": "Daily"}).status_code == 302
    assert Schedule.objects.get(vendor_type="RETENTION").cron == "0 0 0 * * *"
    assert "Every day at midnight" in alices.get(HERE).content.decode()
    assert alices.post(f"{HERE}schedule/", {"period": "Custom", "cron": "x"}).status_code == 200
    assert alices.post(f"{HERE}schedule/", {"period": "None"}).status_code == 302
    assert not Schedule.objects.filter(vendor_type="RETENTION").exists()


def test_immutable_rules_are_added_edited_switched_and_deleted(alices: Client, library: Project) -> None:
    at = f"{HERE}immutable/"
    assert "No rule yet" in alices.get(at).content.decode()
    assert alices.post(f"{at}new/", RULE).status_code == 302
    rule = ImmutableRule.objects.get()
    assert rule.tag_selectors == [{"kind": "doublestar", "decoration": "matches", "pattern": "v*"}]
    assert "are immutable." in alices.get(at).content.decode()
    assert '<span class="count">1 / 15</span>' in alices.get(at).content.decode()
    assert "immutable rule already exists" in alices.post(f"{at}new/", RULE).content.decode()
    assert alices.post(f"{at}{rule.pk}/", {**RULE, "tag_pattern": "w*"}).status_code == 302
    rule.refresh_from_db()
    assert rule.tag_selectors[0]["pattern"] == "w*"
    chosen = {"_selected_action": str(rule.pk)}
    for action, disabled in (("disable", True), ("disable", True), ("enable", False)):
        alices.post(at, {"action": action, **chosen})
        rule.refresh_from_db()
        assert rule.disabled is disabled
    assert "Delete immutability rules?" in alices.post(at, {"action": "delete_chosen", **chosen}).content.decode()
    alices.post(at, {"action": "delete_chosen", "confirmed": "yes", **chosen})
    assert not ImmutableRule.objects.exists()
    assert AuditLog.objects.filter(resource_type="immutable").count() == 5


def test_rules_of_another_project_are_not_there(alices: Client, commons: Project, app: Repository) -> None:
    alices.post(f"{HERE}rules/new/", RULE)
    alices.post(f"{HERE}immutable/new/", RULE)
    alices.post(f"{HERE}dry-run/")
    other, run = "/projects/commons/policy/", Execution.objects.get()
    assert alices.get(f"{other}rules/{rule_name()}/").status_code == 404
    assert alices.get(f"{other}immutable/{ImmutableRule.objects.get().pk}/").status_code == 404
    assert alices.get(f"{other}runs/{run.pk}/").status_code == 404


READ = ("", "preview/")
CHANGE = ("rules/new/", "schedule/", "run/", "dry-run/")
IMMUTABLE = ("immutable/", "immutable/new/")


def test_roles_open_the_pages_that_they_should(
    people: dict[str, User | None], library: Project, app: Repository, signed_in: SignedIn
) -> None:
    alice = people["project admin"]
    signed_in(alice).post(f"{HERE}rules/new/", RULE)
    may: dict[str, tuple[bool, bool]] = {
        "admin": (True, True),
        "project admin": (True, True),
        "maintainer": (True, True),
        "developer": (True, False),
        "guest": (False, False),
        "limited guest": (False, False),
    }
    for who, (retains, makes_immutable) in may.items():
        client = signed_in(people[who])
        for page in (*READ, *CHANGE):
            assert client.get(f"{HERE}{page}").status_code == (200 if retains else 403), (who, page)
        for page in IMMUTABLE:
            assert client.get(f"{HERE}{page}").status_code == (200 if makes_immutable else 403), (who, page)
        tab = f'href="{HERE}"' in client.get("/projects/library/").content.decode()
        assert tab is retains, who
    stranger = signed_in(people["stranger"])
    assert {stranger.get(f"{HERE}{page}").status_code for page in (*READ, *CHANGE, *IMMUTABLE)} == {404}
    guest = signed_in(people["guest"])
    assert guest.post(f"{HERE}rules/{rule_name()}/switch/").status_code == 403
    assert not Execution.objects.exists()


def test_what_is_written_into_a_pattern_is_shown_as_text(alices: Client, app: Repository) -> None:
    bad: dict[str, Any] = {**RULE, "repository_pattern": "**", "tag_pattern": "<script>x</script>"}
    alices.post(f"{HERE}rules/new/", bad)
    alices.post(f"{HERE}immutable/new/", bad)
    for page in ("", "preview/", "immutable/"):
        text = alices.get(f"{HERE}{page}").content.decode()
        assert "<script>x" not in text
        assert "&lt;script&gt;x" in text


def test_how_old_is_told_in_days(alices: Client, app: Repository) -> None:
    alices.post(f"{HERE}rules/new/", {**RULE, "template": "nDaysSinceLastPull", "number": "7", "tag_pattern": ""})
    Tag.objects.filter(name="w1").update(pull_time=timezone.now() - timedelta(days=3))
    page = alices.get(f"{HERE}preview/").content.decode()
    assert "keep the artifacts pulled within the last 7 days with tags matching" in page
    assert page.count(">kept by rule 1</td>") == 1
