"""Each worker process has a row that says every half minute that it lives; its guard writes it.

A worker that is busy or idle need not be awake for that.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from harborsite.jobs.models import Worker

BEAT_SECONDS = 30
SILENT: Final = timedelta(seconds=4 * BEAT_SECONDS)  # after that a worker is taken for dead, wherever it was


def worker_name(pid: int = 0) -> str:
    """A process of this host, or else this one, as tasks and the list of workers name it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def is_running(pid: int) -> bool:
    """Whether this host has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def living() -> list[Worker]:
    """The workers that were heard of of late; of this host, those whose processes are there."""
    heard = Worker.objects.filter(heartbeat__gt=timezone.now() - SILENT)
    return [each for each in heard if each.host != socket.gethostname() or is_running(each.pid)]


def forget_the_dead() -> None:
    """Take those of this host off the list whose processes are no more: the rows of a server that was killed."""
    for worker in Worker.objects.filter(host=socket.gethostname()):
        if not is_running(worker.pid):
            worker.delete()


class Beats:
    """The heartbeats of a guard's workers."""

    def __init__(self) -> None:
        self._started: dict[int, datetime] = {}
        self._due = 0.0

    def beat(self, pids: Sequence[int]) -> None:
        """Write the rows that are due: all every half minute, and a new worker's at once."""
        now, is_due = timezone.now(), time.monotonic() >= self._due
        started = {pid: self._started.get(pid, now) for pid in pids}
        for pid in started if is_due else started.keys() - self._started.keys():
            Worker.objects.update_or_create(
                name=worker_name(pid),
                defaults={"host": socket.gethostname(), "pid": pid, "start_time": started[pid], "heartbeat": now},
            )
        self._started = started
        if is_due:
            self._due = time.monotonic() + BEAT_SECONDS
