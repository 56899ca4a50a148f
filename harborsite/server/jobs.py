"""The job process: it guards the workers, who take what django-q2's broker holds, and does the regular chores.

django-q2's own guard hands entries on through queues whose locks a worker that is killed never gives back, and then
every other worker waits for ever. So each worker asks the broker by itself; they share nothing.
"""

from __future__ import annotations

import logging
import signal
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from django.db import connections
from django_q.conf import Conf
from django_q.scheduler import scheduler
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker

from harborsite.jobs import queue, runner, sweep
from harborsite.server.supervisor import Child, Supervisor

TICK_SECONDS: Final = 5.0
SCHEDULER_SECONDS: Final = 30.0
STOP_SECONDS: Final = 8.0  # less than the supervisor has patience with this process
PAUSE_SECONDS: Final = 1.0  # where the broker cannot be reached, and after a worker that died young

logger = logging.getLogger("harborsite.jobs")


class Entries:
    """What a worker of django-q2 takes its tasks from. An entry goes before it is run: the rows are the truth."""

    def get(self) -> Any:
        while not runner.is_leaving():
            try:
                entries = queue.broker().dequeue()
                for ack_id, package in entries or ():
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
    """What is done every few seconds, in the guard itself: it must not wait for a worker to be free."""

    def __init__(self) -> None:
        self._tick_at = self._scheduler_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._tick_at:
            return
        self._tick_at = now + TICK_SECONDS
        try:
            sweep.tick()
            if now >= self._scheduler_at:
                self._scheduler_at = now + SCHEDULER_SECONDS
                scheduler(broker=queue.broker())
        except queue.FAULTS:
            logger.warning("chores not done", exc_info=True)
        finally:
            connections.close_all()  # the next worker is forked from here


def run() -> None:
    """Guard as many workers as harbor.cfg says until SIGTERM; then what they do is finished or put back."""
    try:
        sweep.start_over()
    except queue.FAULTS:
        logger.warning("nothing taken up yet", exc_info=True)
    finally:
        connections.close_all()
    children = [Child("worker", _work, on_end=_bury, longest_pause=PAUSE_SECONDS) for _ in range(Conf.WORKERS)]
    Supervisor(children, chore=Chores(), stop_seconds=STOP_SECONDS).run()


def _work() -> None:
    signal.signal(signal.SIGTERM, runner.leave)
    worker(Entries(), Results(), Timer(), Conf.TIMEOUT)


def _bury(pid: int) -> None:
    """A worker has ended: nobody else will ever end what it was doing."""
    try:
        sweep.bury(pid)
    except queue.FAULTS:
        logger.warning("task of an ended worker not taken up yet", extra={"worker": pid}, exc_info=True)
    finally:
        connections.close_all()
