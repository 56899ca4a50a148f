"""The job process: django-q2's cluster, stopped by SIGTERM."""

from __future__ import annotations

import signal
import time
import uuid
from typing import Any

from django_q.cluster import Sentinel


class StopSignal:
    """The event by which django-q2's guard is stopped; set by SIGTERM, so it must not hold a lock."""

    def __init__(self) -> None:
        self._set = False

    def set(self, *_signal: Any) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        if not self._set:
            time.sleep(timeout)
        return self._set


def run() -> None:
    """Guard the job workers until SIGTERM, in this process: `qcluster` would keep one more just to wait for it."""
    stop, started = StopSignal(), StopSignal()
    sentinel = Sentinel(stop, started, uuid.uuid4(), start=False)
    signal.signal(signal.SIGTERM, stop.set)
    sentinel.start()
