"""Sharing connections among the web processes: each lets those go first that have fewer.

The processes accept from one socket, and whichever wakes first gets the connection; without this, one of them may
get all, and one process is one processor for Python.
"""

from __future__ import annotations

import mmap
import time
from typing import Final

SLOTS: Final = 64
PATIENCE: Final = 0.01  # seconds for another process to accept what this one leaves
_PAUSE: Final = 0.0002
_EPISODE: Final = 0.02  # two looks this far apart are about two connections


class Board:
    """How many connections each process has, and that it lives, in memory that forks share. A slot is a process's."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, SLOTS * 4)).cast("I")  # 0 is nobody, n + 1 is n connections
        self._beats = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("d")

    def write(self, slot: int, connections: int) -> None:
        self._counts[slot % SLOTS] = connections + 1

    def clear(self, slot: int) -> None:
        self._counts[slot % SLOTS] = 0

    def beat(self, slot: int) -> None:
        self._beats[slot % SLOTS] = time.monotonic()

    def silence(self, slot: int) -> float:
        """Seconds since the last beat of the process that has the slot; 0 where there is none."""
        return time.monotonic() - self._beats[slot % SLOTS] if self._counts[slot % SLOTS] else 0.0

    def somebody_has_fewer(self, slot: int) -> bool:
        mine = self._counts[slot % SLOTS]
        return any(0 < count < mine for count in self._counts)


class Turn:
    """Whether a process should take the connection that waits, or leave it to others a little longer."""

    def __init__(self, board: Board, slot: int) -> None:
        self._board, self._slot = board, slot
        self._began = self._looked = 0.0

    def has_come(self) -> bool:
        if not self._board.somebody_has_fewer(self._slot):
            return True
        now = time.monotonic()
        if now - self._looked > _EPISODE:
            self._began = now
        self._looked = now
        if now - self._began > PATIENCE:
            return True
        time.sleep(_PAUSE)
        return False
