"""Starting, stopping and retrying executions and tasks, and keeping an execution's status true.

Every change of a task's state is a compare-and-swap on its row, so that two processes never both make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from harborsite.errors import PreconditionFailed
from harborsite.jobs import queue, signals
from harborsite.jobs.kinds import KINDS
from harborsite.jobs.models import FINAL, Execution, PausedQueue, Status, Task, Trigger
from harborsite.jobs.signals import Action
from harborsite.principal import Principal


def start(
    *,
    vendor_type: str,
    vendor_id: int = 0,
    trigger: Trigger = Trigger.MANUAL,
    extra_attrs: Mapping[str, object] | None = None,
    tasks: Iterable[Mapping[str, object]] | None = None,
    actor: Principal | str | None = None,
) -> Execution:
    """A new execution; its tasks run as soon as the current transaction commits.

    `tasks` are their parameters, where they are known and not the execution's own.
    `actor`, here and below, is the person who asked for it, to be written down.
    """
    is_to_launch = tasks is None and bool(KINDS[vendor_type].launch)
    with transaction.atomic():
        execution = Execution.objects.create(
            vendor_type=vendor_type,
            vendor_id=vendor_id,
            trigger=trigger,
            extra_attrs=dict(extra_attrs or {}),
            start_time=timezone.now(),
            launched=not is_to_launch,
        )
        signals.tell(actor, Action.START, vendor_type, execution=execution.pk, vendor_id=vendor_id)
        if is_to_launch:
            queue.push(queue.LAUNCH, execution.pk)
        else:
            add_tasks(execution=execution, parameters=[execution.extra_attrs] if tasks is None else tasks)
    return execution


def add_tasks(*, execution: Execution, parameters: Iterable[Mapping[str, object]]) -> list[Task]:
    """Give the execution one task for each set of parameters."""
    with transaction.atomic():
        tasks = [
            Task.objects.create(execution=execution, vendor_type=execution.vendor_type, extra_attrs=dict(attrs))
            for attrs in parameters
        ]
        for task in tasks:
            queue.push(queue.RUN, task.pk)
    return tasks


def finish_launch(*, execution: Execution, parameters: Iterable[Mapping[str, object]], message: str = "") -> None:
    """Make the tasks that `launch` found, once, however often it was called."""
    with transaction.atomic():
        if not Execution.objects.filter(pk=execution.pk, launched=False).update(launched=True):
            return
        if not add_tasks(execution=execution, parameters=parameters):
            close_if_running(execution.pk, Status.SUCCESS, message)


def close_if_running(execution_id: int, status: Status, message: str = "") -> None:
    """End an execution that has no tasks to follow."""
    Execution.objects.filter(pk=execution_id, status=Status.RUNNING).update(
        status=status, status_message=message[:1024], end_time=timezone.now(), update_time=timezone.now()
    )


def stop(*, execution: Execution, actor: Principal | str | None = None) -> None:
    """Ask for the end of all its tasks: those that wait end now, those that run as soon as they look."""
    with transaction.atomic():
        if not execution.is_final:
            data = {"execution": execution.pk, "vendor_id": execution.vendor_id}
            signals.tell(actor, Action.STOP, execution.vendor_type, **data)
        if Execution.objects.filter(pk=execution.pk, launched=False).update(launched=True):
            close_if_running(execution.pk, Status.STOPPED)
            return
        for task in execution.tasks.exclude(status__in=FINAL):
            stop_task(task=task)


def stop_task(*, task: Task, actor: Principal | str | None = None) -> None:
    """End one task: at once if it waits, else as soon as it looks."""
    with transaction.atomic():
        if not task.is_final:
            signals.tell(actor, Action.STOP, task.vendor_type, execution=task.execution_id, task=task.pk)
        waiting = Task.objects.filter(pk=task.pk, status=Status.PENDING)
        if waiting.update(status=Status.STOPPED, end_time=timezone.now(), update_time=timezone.now()):
            refresh(task.execution_id)
            signals.announce(task, Status.STOPPED)
        else:
            Task.objects.filter(pk=task.pk, status=Status.RUNNING).update(stop_requested=True)


def retry(*, task: Task, actor: Principal | str | None = None) -> None:
    """Run one failed or stopped task again; the others of its execution are left alone."""
    with transaction.atomic():
        again = Task.objects.filter(pk=task.pk, status__in=(Status.ERROR, Status.STOPPED)).update(
            status=Status.PENDING,
            status_message="",
            failures=0,
            losses=0,
            not_before=None,
            stop_requested=False,
            end_time=None,
            update_time=timezone.now(),
        )
        if not again:
            raise PreconditionFailed(_("Only a task that failed or was stopped can be retried."))
        signals.tell(actor, Action.RETRY, task.vendor_type, execution=task.execution_id, task=task.pk)
        refresh(task.execution_id)
        queue.push(queue.RUN, task.pk)


def pause(*, vendor_type: str, actor: Principal | str | None = None) -> None:
    """Let the tasks of this kind wait (`SCHEDULER`: all schedules)."""
    with transaction.atomic():
        PausedQueue.objects.get_or_create(vendor_type=vendor_type)
        signals.tell(actor, Action.PAUSE, vendor_type)


def resume(*, vendor_type: str, actor: Principal | str | None = None) -> None:
    """Let them run again."""
    with transaction.atomic():
        signals.tell(actor, Action.RESUME, vendor_type)
        PausedQueue.objects.filter(vendor_type=vendor_type).delete()
        for task_id in due_tasks(vendor_type, timezone.now()):
            queue.push(queue.RUN, task_id)


def due_tasks(vendor_type: str, moment: datetime, *, most: int | None = None) -> list[int]:
    """Waiting tasks of this kind whose time has come, oldest first."""
    waiting = Task.objects.filter(status=Status.PENDING, vendor_type=vendor_type)
    return list(waiting.exclude(not_before__gt=moment).order_by("pk").values_list("pk", flat=True)[:most])


def refresh(execution_id: int) -> None:
    """Derive the execution's status from its tasks; call it in the transaction that changed one.

    The execution's row is locked first, so that of two tasks that end together the second sees the first.
    """
    execution = Execution.objects.select_for_update().get(pk=execution_id)
    counts = dict(execution.tasks.order_by().values_list("status").annotate(Count("pk")))
    if counts.get(Status.PENDING) or counts.get(Status.RUNNING):
        status = Status.RUNNING
    else:
        status = next((s for s in (Status.ERROR, Status.STOPPED) if counts.get(s)), Status.SUCCESS)
    if status != execution.status or (status in FINAL) != bool(execution.end_time):
        execution.status = status
        execution.end_time = timezone.now() if status in FINAL else None
    execution.save(update_fields=["status", "end_time", "update_time"])
