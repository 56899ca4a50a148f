"""The job process: it guards the workers, who take what django-q2's broker holds, and does the regular chores.

django-q2's own guard hands entries on through queues whose locks a worker that is killed never gives back, and then
every other worker waits for ever. So each worker asks the broker by itself, once the guard has rung: a worker that has
had nothing to do yet has touched nothing, and shares all its memory.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final

from django.db import connections
from django_q.conf import Conf
from django_q.scheduler import scheduler
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker

from harborsite.jobs import heartbeat, queue, runner, sweep
from harborsite.server.supervisor import Child, Supervisor

LOOK_SECONDS: Final = 0.3  # between the guard's looks at the queue: a job waits half of that
TICK_SECONDS: Final = 5.0
SCHEDULER_SECONDS: Final = 30.0
STOP_SECONDS: Final = 8.0  # less than the supervisor has patience with this process
REST_SECONDS: Final = 30.0  # then a worker that has worked makes room for one that shares the guard's memory
PAUSE_SECONDS: Final = 1.0  # where the broker cannot be reached, and after a worker that died young

logger = logging.getLogger("harborsite.jobs")


class Bell:
    """Wakes idle workers. It is a number that the kernel keeps, so nobody who is killed can hold it."""

    def __init__(self) -> None:
        self._file = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self, times: int) -> None:
        """Wake so many; what nobody has heard of an earlier ring is forgotten."""
        while self._take():
            pass
        if times:
            os.eventfd_write(self._file, times)

    def is_heard(self, seconds: float) -> bool:
        """Wait so long to be woken; one of those who wait is."""
        return bool(select.select([self._file], [], [], seconds)[0]) and self._take()

    def _take(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.eventfd_read(self._file))
        return False


class Entries:
    """What a worker of django-q2 takes its tasks from. An entry goes before it is run: the rows are the truth."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._is_idle = True
        self._ends_at = float("inf")

    def get(self) -> Any:
        while not runner.is_leaving():
            if self._is_idle:
                if time.monotonic() > self._ends_at:
                    break
                if not self._bell.is_heard(PAUSE_SECONDS):
                    continue
            self._is_idle, self._ends_at = True, time.monotonic() + REST_SECONDS
            try:
                entries = queue.broker().dequeue()
                for ack_id, package in entries or ():
                    self._is_idle = False  # there may be more
                    if ack_id is not None:
                        queue.broker().acknowledge(ack_id)
                    return SignedPackage.loads(package)
            except BadSignature:
                logger.exception("queue entry not signed by this installation")
            except queue.FAULTS as error:
                logger.warning("queue not reached", extra={"error": str(error)})
                connections.close_all()
                time.sleep(PAUSE_SECONDS)
        return "STOP"


class Results:
    """Where a worker of django-q2 puts what came of a task: each has written that to its rows by itself."""

    def put(self, task: Any) -> None:
        if not task["success"]:
            logger.error("queue entry failed", extra={"function": str(task["func"]), "error": task["result"]})


class Timer:
    """A worker's state as django-q2 keeps it; nobody else reads it, so that it needs no lock."""

    value = -1.0

    def get_lock(self) -> AbstractContextManager[None]:
        return nullcontext()


class Chores:
    """What is done in the guard itself, every few seconds or more often: it must not wait for a worker to be free."""

    def __init__(self, bell: Bell, workers: Sequence[Child]) -> None:
        self._bell, self._workers = bell, workers
        self._beats = heartbeat.Beats()
        self._look_at = self._tick_at = self._scheduler_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        try:
            self._bell.ring(min(queue.size(), len(self._workers)))
            self._beats.beat([worker.pid for worker in self._workers if worker.pid])
            if now >= self._tick_at:
                self._tick(now)
        except queue.FAULTS:
            self._look_at = now + TICK_SECONDS
            logger.warning("chores not done", exc_info=True)
            connections.close_all()

    def _tick(self, now: float) -> None:
        self._tick_at = now + TICK_SECONDS
        sweep.tick()
        if now >= self._scheduler_at:
            self._scheduler_at = now + SCHEDULER_SECONDS
            scheduler(broker=queue.broker())


def run() -> None:
    """Guard as many workers as harbor.cfg says until SIGTERM; then what they do is finished or put back."""
    os.register_at_fork(before=connections.close_all)  # a connection must not be shared by a fork
    bell = Bell()
    workers = [
        Child("worker", partial(_work, bell), on_end=_bury, longest_pause=PAUSE_SECONDS) for _ in range(Conf.WORKERS)
    ]
    chores = Chores(bell, workers)
    try:
        sweep.start_over()
    except queue.FAULTS:
        logger.warning("nothing taken up yet", exc_info=True)
        connections.close_all()
    chores()  # the workers share the memory that this takes
    Supervisor(workers, chore=chores, chore_seconds=LOOK_SECONDS, stop_seconds=STOP_SECONDS).run()


def _work(bell: Bell) -> None:
    signal.signal(signal.SIGTERM, runner.leave)
    worker(Entries(bell), Results(), Timer(), Conf.TIMEOUT)


def _bury(pid: int) -> None:
    """A worker has ended: nobody else will ever end what it was doing."""
    try:
        sweep.bury(pid)
    except queue.FAULTS:
        logger.warning("task of an ended worker not taken up yet", extra={"worker": pid}, exc_info=True)
        connections.close_all()
