"""Name and password pairs that were verified a moment ago, so that a script pays for strong hashing once a minute.

A pair is kept as a digest under a key of this process. What it leads to is a row's id with a fingerprint of the row:
the caller reads the row again for every use, and a pair whose row has changed is forgotten.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Entry(Generic[K]):
    """The account that a pair belongs to, the state in which it was verified, and until when that is remembered."""

    account: K
    fingerprint: bytes
    end: float


class Remembered(Generic[K]):
    """A bounded memory; the oldest pair goes when there are too many."""

    def __init__(self, *, seconds: float, size: int) -> None:
        self._seconds, self._size = seconds, size
        self._key = secrets.token_bytes(32)
        self._entries: dict[bytes, Entry[K]] = {}
        self._lock = threading.Lock()

    def digest(self, *parts: str) -> bytes:
        """`parts` as one keyed digest; the lengths keep ("ab", "c") apart from ("a", "bc")."""
        encoded = [part.encode() for part in parts]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return hmac.digest(self._key, message, "sha256")

    def get(self, pair: bytes) -> Entry[K] | None:
        entry = self._entries.get(pair)
        return entry if entry and time.monotonic() < entry.end else None

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
