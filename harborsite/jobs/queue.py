"""Handing ids to django-q2 once the current transaction has committed."""

from __future__ import annotations

import logging
import time
from functools import cache, partial
from typing import Any

from django.db import Error, transaction
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.tasks import async_task

RUN = "harborsite.jobs.runner.run"
LAUNCH = "harborsite.jobs.runner.launch"
_LEFT_ALONE_SECONDS = 5.0


def _faults() -> tuple[type[Exception], ...]:
    if Conf.ORM:
        return (Error, OSError)
    from redis.exceptions import RedisError  # loads a library of 5 MiB

    return (Error, RedisError, OSError)


FAULTS = _faults()  # what a database or a Redis that is away makes of a call
logger = logging.getLogger("harborsite.jobs")
_away_until = float("-inf")


@cache
def broker() -> Broker:
    """django-q2's way to the queue, one for this process and its forks."""
    return get_broker()


def push(function: str, key: int) -> None:
    """Queue `function(key)`. A queue that is down loses nothing and holds nobody up: it is left alone for a while,
    and the sweep pushes again what waits.
    """
    transaction.on_commit(partial(_hand_over, function, key), robust=True)


def _hand_over(function: str, key: int) -> None:
    global _away_until
    if time.monotonic() < _away_until:
        return
    try:
        async_task(function, key, group=function, save=False, broker=broker())
    except FAULTS as error:
        _away_until = time.monotonic() + _LEFT_ALONE_SECONDS
        logger.warning("queue not reached, jobs wait", extra={"error": str(error)})


def check() -> None:
    """Raise one of FAULTS where the queue is a Redis that does not answer."""
    if Conf.REDIS and not Conf.ORM:
        broker().connection.ping()


def size() -> int:
    """How many entries wait. Raises one of FAULTS."""
    found: Any = broker().queue_size()
    return int(found)
