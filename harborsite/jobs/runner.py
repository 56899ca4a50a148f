"""Running one task: claim it, keep its lease, let it log and report, and write down how it ended."""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from harborsite.jobs import engine, heartbeat, queue, signals
from harborsite.jobs.kinds import KINDS
from harborsite.jobs.models import Execution, PausedQueue, Status, Task, TaskLog

logger = logging.getLogger("harborsite.jobs")

LEASE_SECONDS = 30  # a worker that dies alone is missed at once; this is for when its guard dies, too
RENEW_SECONDS = 5
FLUSH_SECONDS = 1.0
LOG_LIMIT = 10 * 1024 * 1024  # characters of one task's log


_leaving = False


def leave(*_signal: object) -> None:
    """The server stops: jobs that look end soon, and their tasks are put back. Fit for a signal handler."""
    global _leaving
    _leaving = True


def is_leaving() -> bool:
    return _leaving


class StopJob(Exception):
    """Raised inside a job that was asked to stop, whose task another worker has taken over, or whose worker leaves."""


class Later(Exception):
    """Raised by a job that can do nothing at present: it goes on when what else waits has had its turn."""


class PermanentError(Exception):
    """A failure that no retry will mend."""


class Job:
    """What a job function gets: its parameters, a log, a progress bar, and the question whether to go on."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.execution = task.execution
        self.attrs: dict[str, object] = task.extra_attrs
        self._lines: list[str] = []
        self._written = 0
        self._flushed_at = time.monotonic()
        self._ending = threading.Event()

    def log(self, message: str, level: str = "INFO") -> None:
        """Add a line to the task's log."""
        self._lines.append(f"{timezone.now():%Y-%m-%dT%H:%M:%SZ} [{level}] {message}\n")
        self._flush_now_and_then()

    def progress(self, done: int, total: int, unit: str = "") -> None:
        """Say how far the task is, in `unit` (for example `bytes` or `blobs`)."""
        self.task.done, self.task.total, self.task.unit = done, total, unit
        self._flush_now_and_then()

    def check_stop(self) -> None:
        """Raise StopJob if the task is to end; call it between steps that must not be torn."""
        if self.was_ended or _leaving:
            raise StopJob

    @property
    def was_ended(self) -> bool:
        """Whether somebody asked for the task's end."""
        return self._ending.is_set()

    def remember(self, **attrs: object) -> bool:
        """Keep results or a cursor in the task's parameters, for a resumed run and for those who look.

        False where nothing was kept, because another worker has taken over.
        """
        self.attrs.update(attrs)
        return bool(self._mine().update(extra_attrs=self.attrs, update_time=timezone.now()))

    def flush(self) -> None:
        """Write the gathered log lines and the progress."""
        text, self._lines = "".join(self._lines), []
        room = LOG_LIMIT - self._written
        if text and room > 0:
            TaskLog.objects.create(task=self.task, text=text[:room])
            self._written += len(text)
        self._mine().update(done=self.task.done, total=self.task.total, unit=self.task.unit, update_time=timezone.now())
        self._flushed_at = time.monotonic()

    def _flush_now_and_then(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()
            if self._mine().filter(stop_requested=True).exists():
                self._ending.set()

    def _mine(self) -> QuerySet[Task]:
        """This claim of the task; empty once another worker has taken over."""
        return Task.objects.filter(pk=self.task.pk, run_count=self.task.run_count, status=Status.RUNNING)

    def keep_lease(self, finished: threading.Event) -> None:
        """Renew the lease until the job is finished; runs in a thread of its own."""
        try:
            while not finished.wait(RENEW_SECONDS):
                until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
                if not self._mine().update(lease_until=until) or self._mine().filter(stop_requested=True).exists():
                    self._ending.set()
        finally:
            connection.close()


def launch(execution_id: int) -> None:
    """Find out which tasks an execution has; called again after a crash, it makes them once."""
    execution = Execution.objects.filter(pk=execution_id, launched=False, status=Status.RUNNING).first()
    if execution is None:
        return
    try:
        with _kept_fresh(execution_id):
            parameters = KINDS[execution.vendor_type].launch_function()(execution)
    except Exception as error:
        logger.exception("launch failed", extra={"execution": execution_id})
        Execution.objects.filter(pk=execution_id).update(launched=True)
        engine.close_if_running(execution_id, Status.ERROR, str(error))
        return
    engine.finish_launch(execution=execution, parameters=parameters, message=execution.status_message)


@contextmanager
def _kept_fresh(execution_id: int) -> Iterator[None]:
    """While its tasks are being found out nobody else needs to begin that anew."""
    finished = threading.Event()

    def renew() -> None:
        try:
            while not finished.wait(RENEW_SECONDS):
                Execution.objects.filter(pk=execution_id).update(update_time=timezone.now())
        finally:
            connection.close()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def run(task_id: int) -> None:
    """Run the task if it still waits and its kind has room; otherwise do nothing."""
    task = _claim(task_id)
    if task is None:
        return
    job = Job(task)
    finished = threading.Event()
    renewer = threading.Thread(target=job.keep_lease, args=(finished,), daemon=True)
    renewer.start()
    status, message, retriable = _outcome(job)
    finished.set()
    renewer.join()
    _settle(job, status, message, retriable=retriable)
    _wake_next(task.vendor_type)


def _claim(task_id: int) -> Task | None:
    """Take the task by changing its row; None if it is not there to be taken."""
    task = Task.objects.select_related("execution").filter(pk=task_id, status=Status.PENDING).first()
    if task is None or PausedQueue.objects.filter(vendor_type=task.vendor_type).exists():
        return None
    now = timezone.now()
    with transaction.atomic():
        # The kind's oldest unfinished row is the lock under which its running tasks are counted.
        limit = KINDS[task.vendor_type].concurrency
        unfinished = Task.objects.filter(vendor_type=task.vendor_type, status__in=(Status.PENDING, Status.RUNNING))
        if limit:
            unfinished.select_for_update().order_by("pk").first()
            if unfinished.filter(status=Status.RUNNING).count() >= limit:
                return None
        waiting = Task.objects.filter(pk=task_id, status=Status.PENDING).exclude(not_before__gt=now)
        claimed = waiting.update(
            status=Status.RUNNING,
            run_count=task.run_count + 1,
            start_time=now,
            end_time=None,
            lease_until=now + timedelta(seconds=LEASE_SECONDS),
            worker=heartbeat.worker_name(),
            update_time=now,
        )
        if not claimed:
            return None
        engine.refresh(task.execution_id)
        signals.announce(task, Status.RUNNING)
    return Task.objects.select_related("execution").get(pk=task_id)


def _outcome(job: Job) -> tuple[Status, str, bool]:
    """Run the job's function: its final status, what to say about it, whether another try may help."""
    try:
        KINDS[job.task.vendor_type].run_function()(job)
    except StopJob:
        if _leaving and not job.was_ended:
            job.log("the server stops, to be gone on with later")
            return Status.PENDING, "", True
        job.log("stopped")
        return Status.STOPPED, "", False
    except Later:
        return Status.PENDING, "", True
    except PermanentError as error:
        job.log(str(error), "ERROR")
        return Status.ERROR, str(error), False
    except Exception as error:
        logger.exception("job failed", extra={"task": job.task.pk, "kind": job.task.vendor_type})
        job.log("".join(traceback.format_exception_only(error)).strip(), "ERROR")
        return Status.ERROR, str(error), True
    return Status.SUCCESS, "", False


def _settle(job: Job, status: Status, message: str, *, retriable: bool) -> None:
    """Write down the outcome, or that the task will be tried again."""
    job.flush()
    task, kind, now = job.task, KINDS[job.task.vendor_type], timezone.now()
    failures = task.failures + (status == Status.ERROR)
    again = retriable and failures < kind.max_attempts
    delay = timedelta(seconds=back_off(failures)) if again and status == Status.ERROR else None
    with transaction.atomic():
        kept = Task.objects.filter(pk=task.pk, run_count=task.run_count, status=Status.RUNNING).update(
            status=Status.PENDING if again else status,
            status_message=message[:1024],
            failures=failures,
            not_before=now + delay if delay else None,
            lease_until=None,
            stop_requested=False,
            end_time=None if again else now,
            update_time=now,
        )
        if kept:
            engine.refresh(task.execution_id)
            if not again:
                signals.announce(task, status)


def back_off(failures: int) -> float:
    """Seconds to wait before the next try: 15 s, then about fourfold each time, at most an hour."""
    return min(15 * 4.0 ** (failures - 1), 3600) * random.uniform(0.8, 1.2)


def _wake_next(vendor_type: str) -> None:
    """A place has become free: offer it to the kind's next waiting task."""
    if KINDS[vendor_type].concurrency:
        for task_id in engine.due_tasks(vendor_type, timezone.now(), most=1):
            queue.push(queue.RUN, task_id)
