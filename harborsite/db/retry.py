"""Starting a short transaction again when the database chose it as the victim of a race."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

_ATTEMPTS = 8
_LOCK_WAIT_TIMEOUT, _DEADLOCK, _RECORD_CHANGED = 1205, 1213, 1020


def retried(service: Callable[P, R]) -> Callable[P, R]:
    """Run `service`, which is one whole transaction, again after a deadlock or a lost race for a unique row.

    Inside somebody else's transaction there is nothing to repeat: the error is theirs to see.
    """

    @wraps(service)
    def repeat(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, _ATTEMPTS):
            try:
                return service(*args, **kwargs)
            except DatabaseError as error:
                if connection.in_atomic_block or not _is_race(error):
                    raise
                time.sleep(random.uniform(0, 0.01 * 2**attempt))
        return service(*args, **kwargs)

    return repeat


def _is_race(error: DatabaseError) -> bool:
    if isinstance(error, IntegrityError):
        return True
    return isinstance(error, OperationalError) and error.args[:1] in (
        (_DEADLOCK,),
        (_LOCK_WAIT_TIMEOUT,),
        (_RECORD_CHANGED,),
    )
