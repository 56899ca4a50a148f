"""The job process: django-q2's cluster, stopped by SIGTERM."""

from __future__ import annotations

import logging
import signal
import time
import uuid
from typing import Any

from django.db import Error, connections
from django_q.cluster import Sentinel

from harborsite.jobs import sweep

logger = logging.getLogger(__name__)


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
    _take_up()
    sentinel.start()


def _take_up() -> None:
    """A database that is away now will be there for the sweep, which looks every minute."""
    try:
        sweep.start_over()
    except Error:
        logger.warning("nothing taken up", exc_info=True)
    finally:
        connections.close_all()  # a connection must not be shared by a fork
