"""Garbage collection, audit purge and the dashboard of jobs by REST."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from harborsite.jobs import runner, schedules
from harborsite.jobs.kinds import GARBAGE_COLLECTION
from harborsite.jobs.models import Execution, PausedQueue, Schedule, Status, Task, Worker
from projects.models import Project, User
from registry.models import Artifact, Blob, BlobLink
from tests.api.calls import delete, get, made, names, post, put
from tests.factories import client_for, push
from tests.images import image

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def boss(admin: User) -> Client:
    return client_for(admin)


def run_everything() -> None:
    for task in Task.objects.filter(status=Status.PENDING):
        runner.run(task.pk)


def when(kind: str, cron: str = "", **parameters: object) -> dict[str, object]:
    return {"schedule": {"type": kind, "cron": cron}, "parameters": parameters}


def test_garbage_is_collected_when_asked(boss: Client, library: Project) -> None:
    owner = client_for(library.owner)
    push(owner, "library/alpine:v1", image("garbage"))
    delete(owner, "/projects/library/repositories/alpine")
    yesterday = timezone.now() - timedelta(days=1)
    Blob.objects.update(update_time=yesterday)
    BlobLink.objects.update(update_time=yesterday)
    number = made(post(boss, "/system/gc/schedule", when("Manual", delete_untagged=True)))
    run_everything()
    run = get(boss, f"/system/gc/{number}").json()
    assert (run["job_status"], run["job_kind"], run["job_name"]) == ("Success", "MANUAL", "GARBAGE_COLLECTION")
    assert json.loads(run["job_parameters"])["purged_blobs"] == 2
    assert not Blob.objects.exists()
    assert b"freed" in get(boss, f"/system/gc/{number}/log").content
    assert [each["id"] for each in get(boss, "/system/gc").json()] == [number]


def test_the_preview_names_projects_repositories_and_tags(boss: Client, library: Project) -> None:
    owner = client_for(library.owner)
    gone, kept = image("gone"), image("kept")
    push(owner, "library/alpine:v1", gone)
    push(owner, "library/alpine:v1", kept)
    push(owner, "library/alpine:v2", kept)
    push(owner, "library/debian:v1", gone)
    size = {name: sum(len(blob.data) for blob in one.blobs) for name, one in (("gone", gone), ("kept", kept))}
    rows = get(boss, "/system/gc/footprints", repository="library/alpine", page_size=1)
    assert rows["X-Total-Count"] == "2"
    assert rows.json() == [
        {"digest": kept.digest, "tags": ["v1", "v2"], "exclusive": size["kept"], "shared": 0}
    ]  # fmt: skip
    yesterday = timezone.now() - timedelta(days=1)
    for rows_of in (Blob.objects, BlobLink.objects):
        rows_of.update(update_time=yesterday)
    Artifact.objects.update(push_time=yesterday)
    assert get(boss, "/system/gc/preview").json()["bytes"] == 0
    found = get(boss, "/system/gc/preview", delete_untagged="true").json()
    assert (found["manifests"], found["blobs"], found["bytes"]) == (1, 0, 0), "the other repository needs the blobs"
    delete(owner, "/projects/library/repositories/debian")
    found = get(boss, "/system/gc/preview", delete_untagged="true").json()
    assert found["projects"] == [
        {"name": "library", "exclusive": size["gone"], "shared": 0, "blobs": 2, "manifests": 1}
    ]  # fmt: skip
    assert {share["name"]: share["shared"] for share in found["repositories"]} == {
        "library/alpine": size["gone"],
        "library/debian": size["gone"],
    }
    assert [share["name"] for share in found["artifacts"]] == [f"library/alpine@{gone.digest}"]
    assert get(boss, "/system/gc/footprints", repository="no/where").status_code == 404
    assert get(boss, "/system/gc/footprints").status_code == 422


def test_a_schedule_is_set_changed_and_removed(boss: Client) -> None:
    assert get(boss, "/system/gc/schedule").content == b""
    assert post(boss, "/system/gc/schedule", when("Daily", "0 0 0 * * *"))["Location"] == "/api/v2.0/system/gc/0"
    assert put(boss, "/system/gc/schedule", when("Weekly", "0 0 0 * * 0")).status_code == 200
    shown = get(boss, "/system/gc/schedule").json()
    assert (shown["schedule"]["type"], shown["job_kind"]) == ("Weekly", "0 0 0 * * 0")
    assert "GARBAGE_COLLECTION" in names(get(boss, "/schedules"), "vendor_type")
    assert put(boss, "/system/gc/schedule", when("None")).status_code == 200
    assert not Schedule.objects.filter(vendor_type="GARBAGE_COLLECTION").exists()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (when("Sometimes"), 422),
        (when("Custom", "x"), 400),
        (when("Custom", "5 0 0 * * *"), 400),
        (when("Manual", workers=99), 400),
        ({"schedule": "now"}, 422),
    ],
)
def test_a_schedule_that_can_not_be_is_refused(boss: Client, wrong: dict[str, object], status: int) -> None:
    assert post(boss, "/system/gc/schedule", wrong).status_code == status
    assert not Execution.objects.exists()


def test_old_rows_of_the_chosen_events_are_purged(boss: Client, library: Project) -> None:
    post(client_for(library.owner), "/labels", {"name": "x", "scope": "p", "project_id": library.pk})
    put(client_for(library.owner), "/projects/library", {"metadata": {"auto_scan": "true"}})
    AuditLog.objects.update(op_time=timezone.now() - timedelta(hours=100))
    wanted: dict[str, Any] = {"audit_retention_hour": 48, "include_event_types": "update_project,nothing"}
    made(post(boss, "/system/purgeaudit/schedule", when("Manual", **wanted, dry_run=True)))
    run_everything()
    old = AuditLog.objects.exclude(operation="start")
    assert old.count() == 2
    number = made(post(boss, "/system/purgeaudit/schedule", when("Manual", **wanted)))
    run_everything()
    assert json.loads(get(boss, f"/system/purgeaudit/{number}").json()["job_parameters"])["purged"] == 1
    assert [row.resource_type for row in old] == ["label"]
    assert post(boss, "/system/purgeaudit/schedule", when("Manual")).status_code == 400


def test_runs_of_another_kind_are_not_there(boss: Client) -> None:
    number = made(post(boss, "/system/gc/schedule", when("Manual", dry_run=True)))
    assert get(boss, f"/system/purgeaudit/{number}").status_code == 404
    assert get(boss, f"/system/purgeaudit/{number}/log").status_code == 404


def test_the_dashboard_shows_and_pauses_queues(boss: Client) -> None:
    now = timezone.now()
    Worker.objects.create(name="here:1", host="here", pid=1, start_time=now, heartbeat=now)
    (pool,) = get(boss, "/jobservice/pools").json()
    assert (pool["worker_pool_id"], pool["concurrency"]) == ("here", 1)
    assert get(boss, "/jobservice/pools/all/workers").json() == [{"id": "here:1", "pool_id": "here"}]
    assert put(boss, "/jobservice/queues/garbage_collection", {"action": "pause"}).status_code == 200
    made(post(boss, "/system/gc/schedule", when("Manual", dry_run=True)))
    run_everything()
    queues = {queue["job_type"]: queue for queue in get(boss, "/jobservice/queues").json()}
    assert (queues["GARBAGE_COLLECTION"]["paused"], queues["GARBAGE_COLLECTION"]["count"]) == (True, 1)
    assert put(boss, "/jobservice/queues/GARBAGE_COLLECTION", {"action": "stop"}).status_code == 200
    assert Task.objects.get().status == Status.STOPPED
    assert put(boss, "/jobservice/queues/all", {"action": "resume"}).status_code == 200
    assert not PausedQueue.objects.exists()
    assert put(boss, "/jobservice/queues/all", {"action": "dance"}).status_code == 422
    assert get(boss, "/schedules/all/paused").json() == {"paused": False}


def test_only_administrators_look_at_jobs(bob: User) -> None:
    member = client_for(bob)
    for path in (
        "/system/gc",
        "/system/gc/preview",
        "/system/gc/schedule",
        "/system/purgeaudit",
        "/jobservice/pools",
        "/schedules",
    ):
        assert get(member, path).status_code == 403, path
        assert get(Client(), path).status_code == 401, path
    assert post(member, "/system/gc/schedule", when("Manual")).status_code == 403
    assert put(member, "/jobservice/queues/all", {"action": "stop"}).status_code == 403


def test_who_sets_changes_and_removes_a_schedule_is_written_down(boss: Client) -> None:
    never = {"schedule": {"type": "None"}, "parameters": {}}
    assert put(boss, "/system/gc/schedule", never).status_code == 200
    assert not AuditLog.objects.exclude(operation="login").exists(), "there was none, so nothing was done"
    made(post(boss, "/system/gc/schedule", when("Daily", "0 0 0 * * *")))
    assert put(boss, "/system/gc/schedule", when("Weekly", "0 0 0 * * 0")).status_code == 200
    assert put(boss, "/system/gc/schedule", when("Custom", "never")).status_code == 400
    assert put(boss, "/system/gc/schedule", never).status_code == 200
    purge = when("Hourly", "0 0 * * * *", audit_retention_hour=1, include_event_types="other")
    made(post(boss, "/system/purgeaudit/schedule", purge))
    written = AuditLog.objects.filter(username="admin").exclude(operation="login").order_by("pk")
    assert list(written.values_list("operation", "resource_type", "resource")) == [
        ("create", "gc", "schedule 0 0 0 * * *"),
        ("update", "gc", "schedule 0 0 0 * * 0"),
        ("delete", "gc", "schedule 0 0 0 * * 0"),
        ("create", "purgeaudit", "schedule 0 0 * * * *"),
    ]


def test_who_starts_stops_and_steers_jobs_is_written_down(boss: Client) -> None:
    """And what runs by itself is not: that is nobody's doing."""
    schedules.put(vendor_type=GARBAGE_COLLECTION, expression="0 0 0 * * *")
    schedules.fire_due(timezone.now() + timedelta(days=2))
    assert Execution.objects.filter(vendor_type=GARBAGE_COLLECTION).exists()
    assert not AuditLog.objects.filter(operation="start").exists()

    run = made(post(boss, "/system/gc/schedule", {"schedule": {"type": "Manual"}, "parameters": {}}))
    purge = {"audit_retention_hour": 1, "include_event_types": "other"}
    purged = made(post(boss, "/system/purgeaudit/schedule", {"schedule": {"type": "Manual"}, "parameters": purge}))
    put(boss, f"/system/gc/{run}", {})
    put(boss, f"/system/gc/{run}", {})  # it has ended: nothing is done
    task = Task.objects.get(execution=purged)
    put(boss, f"/jobservice/jobs/{task.pk}", {})
    post(boss, f"/jobservice/jobs/{task.pk}/retry", {})
    for action in ("pause", "resume", "stop"):
        put(boss, "/jobservice/queues/PURGE_AUDIT_LOG", {"action": action})
    written = AuditLog.objects.filter(username="admin").exclude(operation="login").order_by("pk")
    one = f"execution {purged}, task {task.pk}"
    assert list(written.values_list("operation", "resource_type", "resource")) == [
        ("start", "gc", f"execution {run}"),
        ("start", "purgeaudit", f"execution {purged}"),
        ("stop", "gc", f"execution {run}"),
        ("stop", "purgeaudit", one),
        ("retry", "purgeaudit", one),
        ("pause", "jobqueue", "PURGE_AUDIT_LOG"),
        ("resume", "jobqueue", "PURGE_AUDIT_LOG"),
        ("stop", "purgeaudit", one),
    ]
    shown = get(boss, "/auditlog-exts", q="operation=pause").json()
    assert shown[0]["operation_description"] == "pause jobqueue: PURGE_AUDIT_LOG"
