"""Name and password pairs that were verified a moment ago, so that a script pays for strong hashing once a minute.

A pair is kept as a digest under a key of this process. What it leads to is a row's id with a fingerprint of the row:
the caller reads the row again for every use, and a pair whose row has changed is forgotten.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Entry(Generic[K]):
    """The account that a pair belongs to, the state in which it was verified, and until when that is remembered."""

    account: K
    fingerprint: bytes
    end: float


@dataclass(slots=True)
class _Gate:
    """What the threads with the same pair wait at, and how many they are."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0


class Remembered(Generic[K]):
    """A bounded memory; the oldest pair goes when there are too many."""

    def __init__(self, *, seconds: float, size: int) -> None:
        self._seconds, self._size = seconds, size
        self._key = secrets.token_bytes(32)
        self._entries: dict[bytes, Entry[K]] = {}
        self._lock = threading.Lock()
        self._gates: dict[bytes, _Gate] = {}

    def digest(self, *parts: str) -> bytes:
        """`parts` as one keyed digest; the lengths keep ("ab", "c") apart from ("a", "bc")."""
        encoded = [part.encode() for part in parts]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return hmac.digest(self._key, message, "sha256")

    def get(self, pair: bytes) -> Entry[K] | None:
        entry = self._entries.get(pair)
        return entry if entry and time.monotonic() < entry.end else None

    @contextmanager
    def alone(self, pair: bytes) -> Iterator[None]:
        """One thread at a time for each pair: those behind it find what the first one has verified."""
        with self._lock:
            gate = self._gates.setdefault(pair, _Gate())
            gate.waiting += 1
        try:
            with gate.lock:
                yield
        finally:
            with self._lock:
                gate.waiting -= 1
                if not gate.waiting:
                    del self._gates[pair]

    def add(self, pair: bytes, account: K, fingerprint: bytes) -> None:
        with self._lock:
            self._entries.pop(pair, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[pair] = Entry(account, fingerprint, time.monotonic() + self._seconds)

    def forget(self, pair: bytes) -> None:
        with self._lock:
            self._entries.pop(pair, None)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
