"""`manage.py jobs`, and the same by REST."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone, translation

from harborsite.jobs import engine, runner
from harborsite.jobs.kinds import PURGE_AUDIT_LOG
from harborsite.jobs.models import Status, Task
from harborsite.management.commands import jobs
from projects.models import User
from tests.api.calls import get, post
from tests.factories import client_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "check_prepared", lambda config: None)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def started(**changes: Any) -> Task:
    attrs = {"audit_retention_hour": 1, "include_event_types": "other", "dry_run": True}
    task = engine.start(vendor_type=PURGE_AUDIT_LOG, extra_attrs=attrs).tasks.get()
    Task.objects.filter(pk=task.pk).update(**changes)
    return task


def test_what_waits_or_runs_is_listed() -> None:
    begun = timezone.now() - timedelta(minutes=2)
    waiting, running = started(), started(status=Status.RUNNING, start_time=begun, done=40, total=120, unit="blobs")
    ended = started(status=Status.ERROR, status_message="disk full")
    assert [int(row["job_id"]) for row in as_json("list")] == [running.pk, waiting.pk]
    assert [int(row["job_id"]) for row in as_json("list", "--status", "Error")] == [ended.pk]
    assert len(as_json("list", "--all", "--limit", "2")) == 2
    assert as_json("list", "--kind", "WEBHOOK") == []
    text = run("list", "--all")
    assert "40/120 blobs, 4 min left" in text or "40/120 blobs, 5 min left" in text
    assert "disk full" in text
    with translation.override("zh-hans"):
        assert jobs.line(Task.objects.get(pk=running.pk)).count("还需") == 1


def test_a_job_is_stopped_and_tried_again() -> None:
    task = started()
    (stopped,) = as_json("stop", str(task.pk))
    assert stopped["status"] == "Stopped"
    with pytest.raises(CommandError, match="there is no job 9999"):
        run("retry", "9999")
    (waiting,) = as_json("retry", str(task.pk))
    assert waiting["status"] == "Pending"
    runner.run(task.pk)
    with pytest.raises(CommandError, match="failed or was stopped"):
        run("retry", str(task.pk))


def test_a_running_job_is_asked_to_stop() -> None:
    task = started(status=Status.RUNNING)
    assert "is to stop" in run("stop", str(task.pk))
    assert Task.objects.get().stop_requested


def test_one_failed_job_is_tried_again_by_rest(admin: User, carol: User) -> None:
    boss, path = client_for(admin), "/jobservice/jobs"
    task = started(status=Status.ERROR, done=3, total=6, unit="bytes")
    shown = get(boss, f"{path}/{task.pk}").json()
    assert (shown["done"], shown["total"], shown["unit"], shown["remaining_seconds"]) == (3, 6, "bytes", None)
    assert post(client_for(carol), f"{path}/{task.pk}/retry").status_code == 403
    assert post(Client(), f"{path}/{task.pk}/retry").status_code == 401
    assert post(boss, f"{path}/{task.pk}/retry").status_code == 200
    assert get(boss, f"{path}/{task.pk}").json()["status"] == "Pending"
    assert post(boss, f"{path}/{task.pk}/retry").status_code == 412
    for unknown in ("9999", "x", "9" * 30):
        assert post(boss, f"{path}/{unknown}/retry").status_code == 404
        assert get(boss, f"{path}/{unknown}").status_code == 404
