"""Each worker process says every half minute that it lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from django.db import Error, connection
from django.utils import timezone
from django_q.signals import post_spawn

logger = logging.getLogger("harborsite.jobs")

BEAT_SECONDS = 30


def worker_name() -> str:
    """This process, as tasks and the list of workers name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def connect() -> None:
    """Begin the heartbeat in every process that runs django-q2's worker."""
    post_spawn.connect(_begin, dispatch_uid="harborsite.jobs.heartbeat")


def _begin(**kwargs: Any) -> None:
    threading.Thread(target=_beat_for_ever, name="heartbeat", daemon=True).start()


def _beat_for_ever() -> None:
    started = timezone.now()
    pause = threading.Event()
    while True:
        try:
            beat(started)
        except Error:  # a database that is away for a moment must not end the heartbeat
            logger.warning("heartbeat failed", exc_info=True)
            connection.close()
        pause.wait(BEAT_SECONDS)


def beat(started: Any) -> None:
    """Write this worker's row."""
    from harborsite.jobs.models import Worker

    Worker.objects.update_or_create(
        name=worker_name(),
        defaults={
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "start_time": started,
            "heartbeat": timezone.now(),
        },
    )
