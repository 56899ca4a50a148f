"""Ending a process, or letting others in, at every step of what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


class Killed(BaseException):
    """The process ends here."""


class Points:
    """Where a process may end or others may come in between: around commits, and around files that come or go."""

    def __init__(self) -> None:
        self._left = -1
        self._then: Callable[[], object] = kill

    def at(self, number: int, then: Callable[[], object]) -> Points:
        self._left, self._then = number, then
        return self

    def __enter__(self) -> Points:
        return self

    def __exit__(self, *error: object) -> None:
        self._left = -1

    def pass_one(self) -> None:
        if self._left < 0 or connection.in_atomic_block or threading.current_thread() is not threading.main_thread():
            return
        self._left -= 1
        if self._left < 0:
            self._then()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*args: Any, **kwargs: Any) -> Any:
            self.pass_one()
            result = function(*args, **kwargs)
            self.pass_one()
            return result

        return passing

    def around_commit(self, leave: Callable[..., Any]) -> Callable[..., Any]:
        """Before an outermost commit a process can only end, which takes the transaction back; after it, as above."""

        def leaving(atomic: Any, *error: Any) -> Any:
            if self._left >= 0 and self._then is kill and error[0] is None and not connection.savepoint_ids:
                self._left -= 1
                if self._left < 0:
                    leave(atomic, Killed, Killed(), None)
                    raise Killed
            result = leave(atomic, *error)
            self.pass_one()
            return result

        return leaving


def before(point: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    def passing(*args: Any, **kwargs: Any) -> Any:
        point()
        return function(*args, **kwargs)

    return passing


def kill() -> None:
    raise Killed
