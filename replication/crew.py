"""A few threads that work through a list together, with one that watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connection

T = TypeVar("T")
R = TypeVar("R")


def work_through(
    items: Sequence[T],
    function: Callable[[T], R],
    *,
    threads: int,
    watch: Callable[[], None],
    halt: threading.Event,
    every: float = 0.25,
) -> list[R]:
    """`function` of each item, in their order. The first error sets `halt`, and is raised when all have ended.

    `watch` is called in this thread meanwhile; what it raises ends the work, too. A function that takes long looks
    at `halt` itself.
    """
    results: dict[int, R] = {}
    errors: list[BaseException] = []
    pending = iter(enumerate(items))
    lock = threading.Lock()

    def take_part() -> None:
        try:
            while not halt.is_set():
                with lock:
                    number, item = next(pending, (-1, None))
                if number < 0:
                    return
                results[number] = function(item)  # type: ignore[arg-type]  # None comes with -1 alone
        except BaseException as error:
            errors.append(error)
            halt.set()
        finally:
            connection.close()

    crew = [threading.Thread(target=take_part, daemon=True) for _ in range(min(threads, len(items)))]
    for member in crew:
        member.start()
    try:
        for member in crew:
            while member.is_alive():
                member.join(every)
                watch()
    except BaseException:
        halt.set()
        for member in crew:
            member.join()
        raise
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(items))]
