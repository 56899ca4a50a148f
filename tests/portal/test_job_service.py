"""The dashboard of the job service."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from harborsite.jobs import engine, schedules
from harborsite.jobs.kinds import GARBAGE_COLLECTION, SCHEDULER, WEBHOOK
from harborsite.jobs.models import Execution, PausedQueue, Status, Task, Worker
from projects.models import User
from tests.portal.conftest import SignedIn


def waiting(kind: str = GARBAGE_COLLECTION) -> Task:
    return engine.start(vendor_type=kind).tasks.get()


def running(worker: str, kind: str = GARBAGE_COLLECTION) -> Task:
    now = timezone.now()
    Worker.objects.create(name=worker, host=worker.partition(":")[0], pid=7, start_time=now, heartbeat=now)
    task = waiting(kind)
    Task.objects.filter(pk=task.pk).update(status=Status.RUNNING, worker=worker, start_time=now)
    task.refresh_from_db()
    return task


def test_queues_are_paused_resumed_and_emptied(boss: Client) -> None:
    task, other = waiting(), waiting(WEBHOOK)
    page = boss.get("/job-service/").content.decode()
    assert "Garbage collection" in page
    chosen = {"_selected_action": [GARBAGE_COLLECTION, "NO_SUCH_KIND"]}
    boss.post("/job-service/", {"action": "pause", **chosen})
    assert [queue.vendor_type for queue in PausedQueue.objects.all()] == [GARBAGE_COLLECTION]
    boss.post("/job-service/", {"action": "resume", **chosen})
    assert not PausedQueue.objects.exists()

    asked = boss.post("/job-service/", {"action": "stop", **chosen}).content.decode()
    assert "Stop the jobs that wait?" in asked
    task.refresh_from_db()
    assert task.status == Status.PENDING
    boss.post("/job-service/", {"action": "stop", "confirmed": "yes", **chosen})
    task.refresh_from_db()
    other.refresh_from_db()
    assert (task.status, other.status) == (Status.STOPPED, Status.PENDING)


def test_all_that_waits_is_stopped_at_once_after_a_question(boss: Client) -> None:
    tasks = [waiting(), waiting(WEBHOOK)]
    assert "Webhook: 1" in boss.get("/job-service/stop-waiting/").content.decode()
    assert Task.objects.filter(status=Status.PENDING).count() == 2
    boss.post("/job-service/stop-waiting/")
    assert Task.objects.filter(status=Status.STOPPED).count() == len(tasks)


def test_schedules_are_listed_paused_and_resumed(boss: Client) -> None:
    schedules.put(vendor_type=GARBAGE_COLLECTION, expression="0 15 3 * * *")
    page = boss.get("/job-service/schedules/").content.decode()
    assert "0 15 3 * * *" in page
    assert "paused" not in page
    boss.post("/job-service/scheduler/", {"action": "pause"})
    assert PausedQueue.objects.get().vendor_type == SCHEDULER
    assert "paused" in boss.get("/job-service/schedules/").content.decode()
    boss.post("/job-service/scheduler/", {"action": "resume"})
    assert not PausedQueue.objects.exists()
    assert boss.get("/job-service/scheduler/").status_code == 405


def test_workers_show_what_they_do_and_are_freed_one_by_one(boss: Client) -> None:
    mine, other = running("here:7"), running("there:7")
    page = boss.get("/job-service/workers/").content.decode()
    assert "2 of 2 busy" in page
    Worker.objects.filter(name="there:7").delete()  # it died; its job still counts as running for a minute
    assert "1 of 1 busy" in boss.get("/job-service/").content.decode()
    assert f"/events/{mine.execution_id}/log/{mine.pk}/" in page
    chosen = {"_selected_action": ["here:7"]}
    assert f"Garbage collection {mine.pk}" in boss.post("/job-service/workers/", chosen).content.decode()
    mine.refresh_from_db()
    assert not mine.stop_requested
    boss.post("/job-service/workers/", {**chosen, "confirmed": "yes"})
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.stop_requested, other.stop_requested) == (True, False)
    assert f"Garbage collection {other.pk}" in boss.get("/job-service/stop-running/").content.decode()
    boss.post("/job-service/stop-running/")
    other.refresh_from_db()
    assert other.stop_requested


def test_without_workers_the_page_says_so(boss: Client) -> None:
    assert "No worker is running." in boss.get("/job-service/workers/").content.decode()


def test_administrators_are_told_when_the_queues_stand_still(boss: Client, alice: User, signed_in: SignedIn) -> None:
    text = "Some jobs have waited for more than 24 hours."
    task = waiting()
    assert text not in boss.get("/projects/").content.decode()
    Task.objects.filter(pk=task.pk).update(creation_time=timezone.now() - timedelta(hours=25))
    assert text in boss.get("/projects/").content.decode()
    assert text not in signed_in(alice).get("/projects/").content.decode()
    engine.pause(vendor_type=GARBAGE_COLLECTION)
    assert text not in boss.get("/projects/").content.decode()


@pytest.mark.parametrize("path", ["", "scheduler/", "workers/", "stop-waiting/", "stop-running/"])
def test_nobody_else_steers_jobs(path: str, alice: User, signed_in: SignedIn) -> None:
    waiting(), running("here:7")
    body = {"action": "pause", "confirmed": "yes", "_selected_action": [GARBAGE_COLLECTION, "here:7"]}
    assert signed_in(alice).post(f"/job-service/{path}", body).status_code == 403
    assert signed_in(None).post(f"/job-service/{path}", body).status_code == 302
    assert not PausedQueue.objects.exists()
    assert not Task.objects.filter(stop_requested=True).exists()
    assert Execution.objects.filter(status=Status.RUNNING).count() == 2


def test_how_many_workers_are_busy_is_drawn_and_written(boss: Client) -> None:
    assert "No worker is running." in boss.get("/job-service/").content.decode()
    running("one:1")
    now = timezone.now()
    for name in ("one:2", "two:1", "two:2"):
        Worker.objects.create(name=name, host=name.partition(":")[0], pid=7, start_time=now, heartbeat=now)
    for below in ("", "schedules/", "workers/"):
        page = boss.get(f"/job-service/{below}").content.decode()
        chart = page[page.index('<svg class="donut"') : page.index("</svg>", page.index('<svg class="donut"'))]
        assert 'aria-label="1 of 4 busy"' in chart
        lengths = [float(length) for length in re.findall(r'stroke-dasharray="([\d.]+)', chart)]
        assert lengths[1] == pytest.approx(3 * lengths[0], abs=0.02)
        for label, number in (("Busy", 1), ("Free", 3)):
            assert f'</span>{label}</th><td class="number">{number}</td>' in page, below
