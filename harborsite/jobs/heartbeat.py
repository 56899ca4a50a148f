"""Each worker process has a row that says every half minute that it lives; its guard writes it.

A worker that is busy or idle need not be awake for that.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from harborsite.jobs.models import Worker

BEAT_SECONDS = 30


def worker_name(pid: int = 0) -> str:
    """A process of this host, or else this one, as tasks and the list of workers name it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


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
