"""What waits, what is scheduled and who works, and taking a hand in it: the REST API's and the portal's dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from harborsite.jobs import engine
from harborsite.jobs.kinds import KINDS, SCHEDULER
from harborsite.jobs.models import FINAL, PausedQueue, Status, Task, Worker
from harborsite.principal import Principal

QUEUES = tuple(sorted({*KINDS, SCHEDULER}))
PAUSE, RESUME, STOP = "pause", "resume", "stop"


@dataclass(frozen=True, slots=True)
class Queue:
    """The tasks of one kind that wait; `latency` is how many seconds the oldest has."""

    kind: str
    count: int
    latency: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of one machine; the process is the first one's."""

    host: str
    pid: int
    start_time: datetime
    heartbeat: datetime
    workers: Sequence[Worker]


class Progress(TypedDict):
    """A job and how far it is, but for its times: each reader has its own way to write them.

    `done` of `total` in `unit`; both are 0 where nothing is known. `remaining_seconds` is a guess, or null.
    """

    job_id: str
    job_name: str
    execution_id: int
    status: str
    status_message: str
    stop_requested: bool
    run_count: int
    done: int
    total: int
    unit: str
    remaining_seconds: int | None


def progress(task: Task) -> Progress:
    return {
        "job_id": str(task.pk),
        "job_name": task.vendor_type,
        "execution_id": task.execution_id,
        "status": task.status,
        "status_message": task.status_message,
        "stop_requested": task.stop_requested,
        "run_count": task.run_count,
        "done": task.done,
        "total": task.total,
        "unit": task.unit,
        "remaining_seconds": task.remaining_seconds,
    }


def queues() -> list[Queue]:
    """One for each kind of job there is, and `SCHEDULER` for all schedules."""
    waiting = Task.objects.filter(status=Status.PENDING).order_by().values("vendor_type")
    counts = {row["vendor_type"]: row for row in waiting.annotate(count=Count("pk"), since=Min("creation_time"))}
    paused = set(PausedQueue.objects.values_list("vendor_type", flat=True))
    now = timezone.now()
    return [
        Queue(
            kind,
            counts[kind]["count"] if kind in counts else 0,
            int((now - counts[kind]["since"]).total_seconds()) if kind in counts else 0,
            kind in paused,
        )
        for kind in QUEUES
    ]


def schedules_are_paused() -> bool:
    return PausedQueue.objects.filter(vendor_type=SCHEDULER).exists()


def steer(*, kind: str, action: str, actor: Principal | str) -> None:
    """Let a kind of jobs wait, go on, or give up what waits."""
    if action == PAUSE:
        engine.pause(vendor_type=kind, actor=actor)
    elif action == RESUME:
        engine.resume(vendor_type=kind, actor=actor)
    else:
        stop_tasks(Task.objects.filter(vendor_type=kind, status=Status.PENDING), actor=actor)


def unfinished() -> QuerySet[Task]:
    """What waits or runs."""
    return Task.objects.exclude(status__in=FINAL)


def running() -> QuerySet[Task]:
    return Task.objects.filter(status=Status.RUNNING)


def stop_tasks(tasks: Iterable[Task], *, actor: Principal | str) -> None:
    """Ask each for its end."""
    for task in tasks:
        engine.stop_task(task=task, actor=actor)


def pools() -> list[Pool]:
    by_host: dict[str, list[Worker]] = {}
    for worker in Worker.objects.order_by("host", "start_time"):
        by_host.setdefault(worker.host, []).append(worker)
    return [
        Pool(host, found[0].pid, found[0].start_time, max(worker.heartbeat for worker in found), found)
        for host, found in by_host.items()
    ]


def work() -> dict[str, Task]:
    """What each worker that is busy does, by its name."""
    return {task.worker: task for task in running().select_related("execution")}


def anything_waits_longer_than(age: timedelta) -> bool:
    """Whether the queues stand still: a task that may run has not begun for so long."""
    paused = PausedQueue.objects.values("vendor_type")
    old = Task.objects.filter(status=Status.PENDING, creation_time__lt=timezone.now() - age, failures=0)
    return old.exclude(vendor_type__in=paused).exists()
