"""Immutability, retention and webhooks: what a project's policies do, seen from outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from harborsite.jobs import runner, schedules
from harborsite.jobs.models import Execution, Schedule, Status, Task
from projects.models import Project, User
from registry.models import Artifact, RetentionPolicy, Tag
from registry.oci import doublestar
from tests import images
from tests.api.calls import delete, get, made, patch, post, put
from tests.factories import client_for, error_code, make_project, push
from tests.images import image

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(library: Project) -> Client:
    return client_for(library.owner)


def run_everything() -> None:
    """What the workers do: make the tasks of each execution, and run them."""
    for execution in Execution.objects.filter(launched=False):
        runner.launch(execution.pk)
    for task in Task.objects.filter(status=Status.PENDING):
        runner.run(task.pk)


# --- patterns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "anything/at all", True),
        ("**", "a/b", True),
        ("*", "a/b", False),
        ("v*", "v1.0", True),
        ("v*", "w1", False),
        ("{v,w}?", "w1", True),
        ("{a,b}/{c,d}", "b/d", True),
        ("a/**", "a/b/c", True),
        ("**/c", "a/b/c", True),
        ("[0-9]*", "3.19", True),
        ("[!0-9]*", "3.19", False),
        ("1.0", "1x0", False),
        ("\\*", "*", True),
        ("{a", "{a", True),
        ("[", "[", True),
    ],
)
def test_a_pattern_fits_what_it_should(pattern: str, text: str, expected: bool) -> None:
    assert doublestar.matches(pattern, text) is expected


def test_no_pattern_takes_long() -> None:
    assert not doublestar.matches("*a" * 200 + "b", "a" * 255)
    assert not doublestar.matches("{a,b}" * 100, "c")


# --- immutability ---------------------------------------------------------------------------------


def rule(tags: str, repositories: str = "**", **more: Any) -> dict[str, Any]:
    return {
        "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": tags}],
        "scope_selectors": {
            "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": repositories}]
        },
        **more,
    }


def test_an_immutable_tag_is_neither_moved_nor_deleted(owner: Client) -> None:
    """By whatever way: a push, the tag, the artifact, the manifest's digest, the repository."""
    first = image("first")
    push(owner, "library/alpine:v1", first)
    made(post(owner, "/projects/library/immutabletagrules", rule("v*", "alp*")))
    repository = "/projects/library/repositories/alpine"
    refusals = [
        push(owner, "library/alpine:v1", image("second")),
        owner.delete(f"/v2/library/alpine/manifests/{first.digest}"),
        delete(owner, f"{repository}/artifacts/v1/tags/v1"),
        delete(owner, f"{repository}/artifacts/v1"),
        delete(owner, repository),
    ]
    assert {(answer.status_code, error_code(answer)) for answer in refusals} == {(412, "PRECONDITION")}
    assert Tag.objects.get().artifact.digest == first.digest
    assert push(owner, "library/alpine:w1", image("third")).status_code == 201
    assert push(owner, "library/other:v1", image("fourth")).status_code == 201


def test_a_rule_can_be_switched_off_and_is_its_projects_own(owner: Client, carol: User) -> None:
    rules = "/projects/library/immutabletagrules"
    made_rule = made(post(owner, rules, rule("v*")))
    assert post(owner, rules, rule("v*")).status_code == 409
    make_project("mine", carol)
    foreign = f"/projects/mine/immutabletagrules/{made_rule}"
    assert put(client_for(carol), foreign, rule("x", disabled=True)).status_code == 404
    assert delete(client_for(carol), foreign).status_code == 404
    assert put(owner, f"{rules}/{made_rule}", rule("v*", disabled=True)).status_code == 200
    push(owner, "library/alpine:v1", image("first"))
    assert push(owner, "library/alpine:v1", image("second")).status_code == 201


# --- retention ------------------------------------------------------------------------------------


def policy(project: Project, *rules: dict[str, Any], cron: str = "") -> dict[str, Any]:
    return {
        "algorithm": "or",
        "scope": {"level": "project", "ref": project.pk},
        "trigger": {"kind": "Schedule", "settings": {"cron": cron}},
        "rules": list(rules),
    }


def keep(template: str, number: int = 0, **more: Any) -> dict[str, Any]:
    return {**rule("**"), "action": "retain", "template": template, "params": {template: number}, **more}


def aged(client: Client, tag: str, days: int, repository: str = "alpine") -> images.Manifest:
    """An image that was pushed so many days ago."""
    manifest = image(tag)
    assert push(client, f"library/{repository}:{tag}", manifest).status_code == 201
    then = timezone.now() - timedelta(days=days)
    Artifact.objects.filter(digest=manifest.digest).update(push_time=then)
    Tag.objects.filter(name=tag).update(push_time=then)
    return manifest


def retained(client: Client, library: Project, *rules: dict[str, Any]) -> set[str]:
    """The tags that are left after a run of these rules."""
    number = made(post(client, "/retentions", policy(library, *rules)))
    made(post(client, f"/retentions/{number}/executions", {"dry_run": False}))
    run_everything()
    return set(Tag.objects.values_list("name", flat=True))


def test_the_newest_are_kept(owner: Client, library: Project) -> None:
    for days, tag in enumerate(("v3", "v2", "v1")):
        aged(owner, tag, days)
    assert retained(owner, library, keep("latestPushedK", 2)) == {"v3", "v2"}


def test_what_any_rule_keeps_stays(owner: Client, library: Project) -> None:
    for days, tag in ((1, "new"), (40, "old"), (50, "release-1")):
        aged(owner, tag, days)
    releases = {**keep("always"), **rule("release-*")}
    assert retained(owner, library, keep("nDaysSinceLastPush", 30), releases) == {"new", "release-1"}


def test_pulls_count_where_the_rule_says_so(owner: Client, library: Project) -> None:
    for days, tag in ((40, "used"), (40, "unused")):
        aged(owner, tag, days)
    Tag.objects.filter(name="used").update(pull_time=timezone.now())
    assert retained(owner, library, keep("nDaysSinceLastPull", 7)) == {"used"}


def test_immutable_tags_and_other_repositories_are_left_alone(owner: Client, library: Project) -> None:
    aged(owner, "v1", 90)
    aged(owner, "w1", 90)
    aged(owner, "x1", 90, "other")
    made(post(owner, "/projects/library/immutabletagrules", rule("v*")))
    only_alpine = {**keep("latestPushedK", 0), **rule("**", "alpine")}
    assert retained(owner, library, only_alpine) == {"v1", "x1"}


@pytest.mark.parametrize(
    ("template", "number", "left"),
    [
        ("always", 0, {"used", "new", "old"}),
        ("latestPushedK", 1, {"new"}),
        ("latestPulledN", 1, {"used"}),
        ("latestActiveK", 2, {"new", "used"}),
        ("nDaysSinceLastPush", 30, {"new"}),
        ("nDaysSinceLastPull", 30, {"used"}),
        ("lastXDays", 45, {"new", "used"}),
        ("unheardOf", 0, {"used", "new", "old"}),
    ],
)
def test_each_template_keeps_what_it_says(
    owner: Client, library: Project, template: str, number: int, left: set[str]
) -> None:
    for days, tag in ((40, "used"), (3, "new"), (90, "old")):
        aged(owner, tag, days)
    Tag.objects.filter(name="used").update(pull_time=timezone.now() - timedelta(days=2))
    assert retained(owner, library, keep(template, number)) == left


def test_a_preview_gives_the_reason_for_each_artifact(owner: Client, library: Project) -> None:
    for tag, days in (("new", 1), ("release-1", 50), ("v1", 60), ("old", 70)):
        aged(owner, tag, days)
    aged(owner, "kept", 90, "other")
    made(post(owner, "/projects/library/immutabletagrules", rule("v*")))
    rules = keep("latestPushedK", 1), {**keep("always"), **rule("{new,release-*}", "alpine")}
    number = made(post(owner, "/retentions", policy(library, *rules)))
    answer = get(owner, f"/retentions/{number}/preview", page_size=1)
    assert answer["X-Total-Count"] == "2"
    (found,) = answer.json()
    assert (found["repository"], found["total"], found["retained"]) == ("library/alpine", 4, 3)
    reasons = {artifact["tags"][0]: (artifact["retention"], artifact["reason"]) for artifact in found["artifacts"]}
    assert reasons == {
        "new": ("RETAIN", "kept by rule 1, 2"),
        "release-1": ("RETAIN", "kept by rule 2"),
        "v1": ("IMMUTABLE", "immutable: v1"),
        "old": ("DEL", "no rule keeps it"),
    }
    assert found["artifacts"][0]["rules"] == [1, 2]
    run = made(post(owner, f"/retentions/{number}/executions", {"dry_run": True}))
    run_everything()
    task = next(
        each
        for each in get(owner, f"/retentions/{number}/executions/{run}/tasks").json()
        if each["repository"] == "library/alpine"
    )
    log = get(owner, f"/retentions/{number}/executions/{run}/tasks/{task['id']}").content.decode()
    for verdict, reason in reasons.values():
        assert f"| {verdict} | {reason} |" in log


def test_a_preview_knows_what_hangs_on_an_artifact_as_the_run_does(owner: Client, library: Project) -> None:
    """Immutable tags of accessories, and indexes that stay or go first."""
    subject, part, lone = image("subject"), image("part"), image("lone")
    push(owner, "library/alpine:part", part)
    push(owner, "library/alpine:lone", lone)
    push(owner, "library/alpine:going", images.index_of(lone))
    push(owner, "library/alpine:kept-index", images.index_of(part))
    push(owner, "library/alpine:subject", subject)
    signature = images.artifact(subject=subject)
    push(owner, "library/alpine:signed", signature)
    made(post(owner, "/projects/library/immutabletagrules", rule("signed")))
    rules = {**keep("always"), **rule("kept-*")}
    number = made(post(owner, "/retentions", policy(library, rules)))
    (found,) = get(owner, f"/retentions/{number}/preview").json()
    told = {artifact["tags"][0]: (artifact["retention"], artifact["reason"]) for artifact in found["artifacts"]}
    assert told == {
        "kept-index": ("RETAIN", "kept by rule 1"),
        "subject": ("IMMUTABLE", "immutable: signed"),
        "part": ("RETAIN", "listed by an index that stays"),
        "going": ("DEL", "no rule keeps it"),
        "lone": ("DEL", "no rule keeps it"),
    }
    made(post(owner, f"/retentions/{number}/executions", {"dry_run": False, "ignore_limit": True}))
    run_everything()
    assert set(Tag.objects.values_list("name", flat=True)) == {"kept-index", "subject", "signed", "part"}


def test_a_run_that_would_delete_too_much_stops_and_says_so(owner: Client, library: Project, admin: User) -> None:
    for number in range(20):
        aged(owner, f"v{number}", 10 + number)
    put(client_for(admin), "/configurations", {"retention_delete_limit": 70})
    number = made(post(owner, "/retentions", policy(library, keep("latestPushedK", 2))))

    def outcome(**how: bool) -> tuple[str, str]:
        run = made(post(owner, f"/retentions/{number}/executions", how))
        run_everything()
        (task,) = get(owner, f"/retentions/{number}/executions/{run}/tasks").json()
        log = get(owner, f"/retentions/{number}/executions/{run}/tasks/{task['id']}").content.decode()
        assert log.count("| DEL | no rule keeps it |") == 18
        return Execution.objects.get(pk=run).status, log

    why = "18 of 20 artifacts (90%) would go, the limit of a run is 70%"
    status, log = outcome(dry_run=True)
    assert status == "Success"
    assert f"a run would stop here: {why}" in log
    status, log = outcome(dry_run=False)
    assert status == "Error"
    assert f"nothing was deleted: {why}" in log
    assert Tag.objects.count() == 20
    assert Task.objects.filter(status="Error").get().status_message.endswith(why)
    assert Task.objects.filter(status="Error").get().failures == 1, "no retry would mend it"
    assert outcome(dry_run=False, ignore_limit=True)[0] == "Success"
    assert Tag.objects.count() == 2


def test_the_limit_is_a_share_of_what_the_whole_run_judges(owner: Client, library: Project, admin: User) -> None:
    for number in range(12):
        aged(owner, f"v{number}", 60)
        aged(owner, f"w{number}", 1, "other")
    assert retained(owner, library, keep("nDaysSinceLastPush", 30)) == {f"w{number}" for number in range(12)}
    limits = [put(client_for(admin), "/configurations", {"retention_delete_limit": share}) for share in (0, 101, 100)]
    assert [answer.status_code for answer in limits] == [400, 400, 200]


def test_a_disabled_rule_judges_nothing(owner: Client, library: Project) -> None:
    aged(owner, "v1", 90)
    assert retained(owner, library, keep("latestPushedK", 0, disabled=True)) == {"v1"}


def test_a_dry_run_only_tells(owner: Client, library: Project) -> None:
    manifest = aged(owner, "v1", 90)
    number = made(post(owner, "/retentions", policy(library, keep("latestPushedK", 0))))
    run = made(post(owner, f"/retentions/{number}/executions", {"dry_run": True}))
    run_everything()
    (execution,) = get(owner, f"/retentions/{number}/executions").json()
    assert (execution["id"], execution["status"], execution["dry_run"]) == (run, "Success", True)
    (task,) = get(owner, f"/retentions/{number}/executions/{run}/tasks").json()
    assert (task["repository"], task["total"], task["retained"]) == ("library/alpine", 1, 0)
    log = get(owner, f"/retentions/{number}/executions/{run}/tasks/{task['id']}").content.decode()
    assert manifest.digest in log
    assert "DEL" in log
    assert Tag.objects.filter(name="v1").exists()


def test_a_schedule_runs_the_policy_and_goes_with_it(owner: Client, library: Project) -> None:
    aged(owner, "v1", 90)
    number = made(post(owner, "/retentions", policy(library, keep("latestPushedK", 0), cron="0 0 0 * * *")))
    assert get(owner, "/projects/library").json()["metadata"]["retention_id"] == str(number)
    schedules.fire_due(timezone.now() + timedelta(days=2))
    run_everything()
    assert not Tag.objects.exists()
    assert delete(owner, f"/retentions/{number}").status_code == 200
    assert not Schedule.objects.filter(vendor_type="RETENTION").exists()
    assert "retention_id" not in get(owner, "/projects/library").json()["metadata"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [{**keep("latestPushedK", 1), "tag_selectors": []}]},
        {"rules": [keep("latestPushedK", -1)]},
        {"rules": [keep("latestPushedK", 40000)]},
        {"rules": [keep("always", n) for n in range(16)]},
        {"scope": {"level": "system", "ref": 1}},
        {"trigger": {"kind": "Schedule", "settings": {"cron": "* * * * *"}}},
    ],
)
def test_a_policy_that_can_not_be_is_refused(owner: Client, library: Project, wrong: dict[str, Any]) -> None:
    assert post(owner, "/retentions", {**policy(library, keep("always")), **wrong}).status_code == 400
    assert not RetentionPolicy.objects.exists()


def test_a_policy_is_not_reached_from_another_project(owner: Client, library: Project, carol: User) -> None:
    mine = make_project("mine", carol)
    other, client = made(post(owner, "/retentions", policy(library, keep("always")))), client_for(carol)
    own = made(post(client, "/retentions", policy(mine, keep("always"))))
    run = made(post(owner, f"/retentions/{other}/executions", {"dry_run": True}))
    run_everything()
    task = Task.objects.filter(execution=run).first()
    for path in (f"/retentions/{other}", f"/retentions/{other}/executions"):
        assert get(client, path).status_code == 403
    assert get(client, f"/retentions/{own}/executions/{run}/tasks").status_code == 404
    assert patch(client, f"/retentions/{own}/executions/{run}", {"action": "stop"}).status_code == 404
    assert task is None or get(client, f"/retentions/{own}/executions/{run}/tasks/{task.pk}").status_code == 404
    moved = policy(library, keep("always"))
    assert put(client, f"/retentions/{own}", moved).status_code == 400
