"""One at a time, in all processes: a named lock that the end of its holder gives up, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def exclusive(name: str) -> Iterator[bool]:
    """Hold the lock `name` for the block; False, at once, if somebody else holds it."""
    held = _on_server(name) if connection.vendor == "mysql" else _beside_file(name)
    with held as mine:
        yield mine


@contextmanager
def _on_server(name: str) -> Iterator[bool]:
    """A lock of this connection: the server knows all hosts that share the database."""
    key = f"{connection.settings_dict['NAME']}.{name}"[:64]
    with connection.cursor() as cursor:
        # A connection could take a lock of its own again.
        cursor.execute("SELECT IF(IS_USED_LOCK(%s) = CONNECTION_ID(), 0, GET_LOCK(%s, 0))", [key, key])
        mine = cursor.fetchone() == (1,)
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT RELEASE_LOCK(%s)", [key])


@contextmanager
def _beside_file(name: str) -> Iterator[bool]:
    database = str(connection.settings_dict["NAME"])
    if ":memory:" in database or database.startswith("file:"):
        yield True
        return
    file = os.open(f"{database}.{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)
