"""The tick, which fires schedules and picks up what a crash left lying, and the daily trim of old runs."""

from __future__ import annotations

import logging
import os
import socket
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from harborsite.jobs import engine, heartbeat, queue, schedules, signals
from harborsite.jobs.kinds import KINDS
from harborsite.jobs.models import FINAL, Execution, PausedQueue, Status, Task, Worker
from harborsite.jobs.runner import LEASE_SECONDS, Job

logger = logging.getLogger("harborsite.jobs")

LOST_RUNS = 5  # a task that took its worker down this often is not tried again
BATCH = 200


def tick() -> None:
    """Every few seconds; two at the same time, on two machines, do no harm. Raises one of `queue.FAULTS`."""
    now = timezone.now()
    schedules.fire_due(now)
    recover_lost_tasks(now)
    push_again(now)
    Worker.objects.filter(heartbeat__lt=now - heartbeat.SILENT).delete()


def start_over() -> None:
    """Before the first worker of this host starts: whatever a killed server left is taken up now, not in a minute."""
    now = timezone.now()
    recover_from_the_dead(now)
    heartbeat.forget_the_dead()
    _push_waiting(now)
    _push_unlaunched(now)


def bury(pid: int) -> None:
    """A worker of this host has ended: what it was doing is put back, and it is off the list."""
    recover_from_the_dead(timezone.now())
    Worker.objects.filter(host=socket.gethostname(), pid=pid).delete()


def recover_lost_tasks(now: datetime) -> None:
    """Put back what a dead worker was doing: its lease has run out."""
    for task in Task.objects.filter(status=Status.RUNNING, lease_until__lt=now)[:BATCH]:
        _put_back(task, now)


def recover_from_the_dead(now: datetime) -> None:
    """Put back what processes of this host were doing that are no more; nobody need wait for their leases."""
    for task in Task.objects.filter(status=Status.RUNNING, worker__startswith=f"{socket.gethostname()}:")[:BATCH]:
        pid = int(task.worker.rpartition(":")[2])
        if pid == os.getpid() or not heartbeat.is_running(pid):  # this one has just started
            _put_back(task, now)


def _put_back(task: Task, now: datetime) -> None:
    losses = task.losses + 1
    hopeless = losses >= LOST_RUNS
    with transaction.atomic():
        lost = Task.objects.filter(
            pk=task.pk, run_count=task.run_count, status=Status.RUNNING, lease_until=task.lease_until
        )
        if not lost.update(
            status=Status.ERROR if hopeless else Status.PENDING,
            status_message="its worker died" if hopeless else "",
            losses=losses,
            lease_until=None,
            end_time=now if hopeless else None,
            update_time=now,
        ):
            return
        engine.refresh(task.execution_id)
        if hopeless:
            signals.announce(task, Status.ERROR)
        else:
            queue.push(queue.RUN, task.pk)
    logger.warning("task recovered", extra={"task": task.pk, "kind": task.vendor_type, "hopeless": hopeless})


def push_again(now: datetime) -> None:
    """Queue what waits without an entry: that may have been lost, or a retry may have come due."""
    if _waiting(now).count() > queue.size():
        _push_waiting(now)
    _push_unlaunched(now - timedelta(seconds=LEASE_SECONDS))


def _waiting(now: datetime) -> QuerySet[Task]:
    """What may be run now, but for kinds with room for few that have no room: who ends there wakes the next."""
    paused = PausedQueue.objects.values("vendor_type")
    waiting = Task.objects.filter(status=Status.PENDING).exclude(vendor_type__in=paused).exclude(not_before__gt=now)
    limits = {name: kind.concurrency for name, kind in KINDS.items() if kind.concurrency}
    running = Task.objects.filter(status=Status.RUNNING, vendor_type__in=limits).order_by().values_list("vendor_type")
    full = [name for name, count in running.annotate(Count("pk")) if count >= limits[name]]
    return waiting.exclude(vendor_type__in=full)


def _push_waiting(now: datetime) -> None:
    for task_id in _waiting(now).order_by("pk").values_list("pk", flat=True)[:BATCH]:
        queue.push(queue.RUN, task_id)


def _push_unlaunched(since: datetime) -> None:
    """Nobody has said for a while that it is finding out the tasks of these."""
    unlaunched = Execution.objects.filter(launched=False, status=Status.RUNNING, update_time__lt=since)
    for execution_id in unlaunched.values_list("pk", flat=True)[:BATCH]:
        queue.push(queue.LAUNCH, execution_id)


def trim(job: Job) -> None:
    """Drop finished executions beyond what each kind keeps; the job of EXECUTION_SWEEP."""
    removed = 0
    vendors = Execution.objects.order_by().values_list("vendor_type", "vendor_id").distinct()
    for vendor_type, vendor_id in vendors:
        job.check_stop()
        keep = KINDS[vendor_type].keep if vendor_type in KINDS else 0
        finished = Execution.objects.filter(vendor_type=vendor_type, vendor_id=vendor_id, status__in=FINAL)
        while old := list(finished.order_by("-pk").values_list("pk", flat=True)[keep : keep + BATCH]):
            removed += Execution.objects.filter(pk__in=old).delete()[0]
            job.check_stop()
    job.log(f"{removed} rows of old executions removed")
