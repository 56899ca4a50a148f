"""How fast, how patiently and how visibly a transfer runs: speed limit, retries, progress."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.utils.translation import gettext as _

from harborsite.errors import AppError
from harborsite.jobs.runner import StopJob
from harborsite.outbound import Reader, TransferBroken, Unreachable
from replication.adapters.base import Content
from replication.errors import RemoteError, UnfitContent

R = TypeVar("R")
ATTEMPTS = 5  # of one step, as many as Harbor makes
FIRST_PAUSE = 2.0  # seconds; doubles with each further attempt
_LONGEST_PAUSE = 60.0


class Flow:
    """Shared by the threads of one transfer. `halt` ends them all at their next step."""

    def __init__(self, *, kilobytes_per_second: int = 0) -> None:
        self.halt = threading.Event()
        self.done = 0
        self.total = 0
        self._rate = kilobytes_per_second * 1024
        self._next = time.monotonic()
        self._lock = threading.Lock()
        self._said: deque[str] = deque()

    def say(self, message: str) -> None:
        """A line for the job's log, which only the job's own thread may write."""
        self._said.append(message)

    def said(self) -> Iterator[str]:
        """What was said since the last time."""
        while self._said:
            yield self._said.popleft()

    def patiently(self, step: Callable[[], R]) -> R:
        """`step`, again after a pause if the other side is away or says that it is busy."""
        pause = FIRST_PAUSE
        for _attempt in range(ATTEMPTS - 1):
            try:
                return step()
            except AppError as error:
                if not is_temporary(error):
                    raise
                wait = min(max(pause, getattr(error, "retry_after", 0.0)), _LONGEST_PAUSE)
                self.say(f"{error.message}; trying again in {wait:.0f} s")
                self.wait(wait)
                pause *= 2
        return step()

    def wait(self, seconds: float) -> None:
        if self.halt.wait(seconds):
            raise StopJob

    def metered(self, content: Content, size: int) -> Content:
        """The same content, which has to be of `size` bytes; slowed down and stopped where need be."""

        @contextmanager
        def opened(start: int) -> Iterator[Reader]:
            with content(start) as stream:
                yield Metered(stream, self, size - start)

        return opened

    def count(self, size: int) -> None:
        with self._lock:
            self.done += size

    def pay(self, size: int) -> None:
        """Wait until the speed limit has room for what was just read."""
        if self.halt.is_set():
            raise StopJob
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now) + size / self._rate
            delay = self._next - now
        if delay > 0:
            self.wait(delay)


class Metered:
    """A stream of `left` bytes that are paid for, read in steps short enough for the slowest limit to look even.

    More bytes than that are unfit at once. Fewer may be a connection that broke, and are worth another try.
    """

    _STEP = 256 * 1024

    def __init__(self, stream: Reader, flow: Flow, left: int) -> None:
        self._stream = stream
        self._flow = flow
        self._left = left

    def read(self, size: int = -1, /) -> bytes:
        if not size:
            return b""
        piece = self._stream.read(self._STEP if size < 0 else min(size, self._STEP)) or b""
        self._left -= len(piece)
        if self._left < 0:
            raise UnfitContent(_("the source sends more bytes of a blob than its manifest says"))
        if not piece and self._left:
            raise TransferBroken(_("the source ended a blob {count} bytes too early").format(count=self._left))
        self._flow.pay(len(piece))
        return piece


def is_temporary(error: AppError) -> bool:
    """Whether another try may help."""
    if isinstance(error, RemoteError):
        return error.is_temporary
    return isinstance(error, Unreachable) or error.status >= 500
