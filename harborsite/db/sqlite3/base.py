"""SQLite behind a gate: writers queue on a lock file, in order, and never poll the database.

SQLite lets one writer in at a time and makes the others sleep and try again, which starves some of them under
load. Every transaction that may write begins with BEGIN IMMEDIATE (see settings); here it first takes an
advisory lock beside the database file, so that waiting costs nothing and no writer is told "database is locked".
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend with a cross-process gate around write transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate: int | None = None
        self._gate_held = False

    def _start_transaction_under_autocommit(self) -> None:
        self._enter_gate()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave_gate()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._leave_gate()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._leave_gate()

    def close(self) -> None:
        super().close()
        if self._gate is not None and not self.in_atomic_block:
            os.close(self._gate)  # gives the lock up as well
            self._gate, self._gate_held = None, False

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
