"""A long series of transactions beside which others want to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

_PAGES = "PRAGMA wal_autocheckpoint"


@contextmanager
def written_back_between() -> Iterator[Callable[[], None]]:
    """Yields what to call now and then between two transactions.

    SQLite writes its log back into the database in the commit that made it too long, and everybody waits for that.
    Within the block that is done by the call, beside which others go on writing. Nothing is to be done elsewhere.
    """
    if connection.vendor != "sqlite":
        yield lambda: None
        return
    with connection.cursor() as cursor:
        usual = cursor.execute(_PAGES).fetchone()[0]
        cursor.execute(f"{_PAGES}=0")
    try:
        yield _write_back
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"{_PAGES}={usual}")


def _write_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
