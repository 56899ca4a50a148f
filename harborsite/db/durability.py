"""Which commits may be lost with the power, because a client or the next run would simply do the same again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    depth = 0


_state = _State()


@contextmanager
def may_be_lost_with_the_power() -> Iterator[None]:
    """Commits in this block are not waited for until they are on disk; they survive a crash of the server alone.

    Where the database decides for itself (MySQL), this changes nothing.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


def may_be_lost() -> bool:
    return _state.depth > 0
