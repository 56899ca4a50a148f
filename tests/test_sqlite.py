"""SQLite's commits: on disk when they are done, unless they may be lost; whatever database the other tests use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from harborsite.db.durability import may_be_lost_with_the_power

pytestmark = pytest.mark.django_db  # or the connection of its own would be refused as well

FULL, NORMAL = 2, 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    options = {"transaction_mode": "IMMEDIATE", "init_command": pragmas}
    place = {"ENGINE": "harborsite.db.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": options}
    connection = ConnectionHandler({"default": place})["default"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (x)")
    yield connection
    connection.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that get synced."""
    seen: list[str] = []
    sync = os.fdatasync

    def note(file: int) -> None:
        sync(file)
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))

    monkeypatch.setattr(os, "fdatasync", note)
    return seen


def begin(database: Any) -> None:
    """As `transaction.atomic` does."""
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    database.in_atomic_block = True


def end(database: Any, verb: str) -> None:
    database.in_atomic_block = False
    getattr(database, verb)()
    database.set_autocommit(True)


def write(database: Any) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")


def level(database: Any) -> int:
    with database.cursor() as cursor:
        return int(cursor.execute("PRAGMA synchronous").fetchone()[0])


def test_a_commit_syncs_the_log_once(database: Any, synced: list[str]) -> None:
    begin(database)
    write(database)
    write(database)
    assert synced == []
    end(database, "commit")
    assert synced == ["db.sqlite3-wal"]


def test_a_commit_that_may_be_lost_is_not_waited_for(database: Any, synced: list[str]) -> None:
    with may_be_lost_with_the_power():
        begin(database)
        write(database)
        end(database, "commit")
    assert synced == []


@pytest.mark.parametrize("verb", ["commit", "rollback"])
def test_writing_without_a_transaction_is_left_to_sqlite(database: Any, verb: str) -> None:
    assert level(database) == FULL
    begin(database)
    write(database)
    assert level(database) == NORMAL
    end(database, verb)
    assert level(database) == FULL


def test_parameters_and_percent_signs_reach_sqlite_as_they_were_meant(database: Any) -> None:
    with database.cursor() as cursor:
        for value in ("a", "%s"):  # the second time the statement is known
            cursor.execute("SELECT %s, '%%', '%%s'", [value])
            assert cursor.fetchone() == (value, "%", "%s")
        cursor.execute("SELECT %(name)s", {"name": "b"})
        assert cursor.fetchone() == ("b",)
