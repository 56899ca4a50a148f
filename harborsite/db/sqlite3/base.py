"""SQLite behind a gate: writers queue on a lock file, in order, and never poll the database.

SQLite lets one writer in at a time and makes the others sleep and try again, which starves some of them under
load. Every transaction that may write begins with BEGIN IMMEDIATE (see settings); here it first takes an
advisory lock beside the database file, so that waiting costs nothing and no writer is told "database is locked".

The gate is open again before the commit is synced to disk, or one slow disk would put all writers in a row. SQLite
itself syncs a commit while it holds its lock (synchronous=FULL); inside a transaction that is switched off, and the
write-ahead log is synced after it, so that writers wait for the disk side by side. The log is written in the order
of the commits: once it is synced, so is everything before.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import threading
from collections import defaultdict
from functools import lru_cache
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from harborsite.db.durability import may_be_lost


class _LogSync:
    """Syncs one write-ahead log for all threads of this process: who waits for a sync shares the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._last = 0  # the newest commit
        self._synced = 0  # up to here all commits are on disk

    def committed(self) -> int:
        """The number of a commit that is in the log. Two threads may leave the lower one as the last: that is safe."""
        number = self._last = next(self._numbers)
        return number

    def wait(self, number: int, file: int) -> None:
        with self._lock:
            if self._synced < number:
                last = self._last
                os.fdatasync(file)
                self._synced = last


_syncs: defaultdict[str, _LogSync] = defaultdict(_LogSync)


@lru_cache(maxsize=512)
def _with_question_marks(query: str) -> str:
    """What SQLite is given of SQL with `%s`; statements that are kept are asked for over and over."""
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    """Django's cursor, which rewrites a statement once and not for each execution."""

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        if param_names is None:
            return _with_question_marks(query)
        return super().convert_query(query, param_names=param_names)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend with a cross-process gate around write transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate: int | None = None
        self._gate_held = False
        self._log: int | None = None

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor

    def _start_transaction_under_autocommit(self) -> None:
        self._enter_gate()
        try:
            self._set_synchronous("NORMAL")
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave_gate()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
            self._set_synchronous("FULL")
        finally:
            self._leave_gate()
        if not may_be_lost():
            self._sync_log()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
            self._set_synchronous("FULL")
        finally:
            self._leave_gate()

    def _set_synchronous(self, level: str) -> None:
        self.connection.execute(f"PRAGMA synchronous={level}")

    def _sync_log(self) -> None:
        """The log exists for as long as a connection that has written is open."""
        if self.is_in_memory_db():
            return
        sync = _syncs[str(self.settings_dict["NAME"])]
        number = sync.committed()
        try:
            if self._log is None:
                self._log = os.open(f"{self.settings_dict['NAME']}-wal", os.O_RDONLY | os.O_CLOEXEC)
            sync.wait(number, self._log)
        except OSError as error:
            raise OperationalError(f"the write-ahead log cannot be synced: {error}") from error

    def close(self) -> None:
        super().close()
        if self.in_atomic_block:
            return
        if self._gate is not None:
            os.close(self._gate)  # gives the lock up as well
            self._gate, self._gate_held = None, False
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _enter_gate(self) -> None:
        if self.is_in_memory_db():
            return
        if self._gate is None:
            self._gate = os.open(f"{self.settings_dict['NAME']}.gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        self._gate_held = True

    def _leave_gate(self) -> None:
        if self._gate is not None and self._gate_held:
            self._gate_held = False
            fcntl.flock(self._gate, fcntl.LOCK_UN)
