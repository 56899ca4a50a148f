"""Purging the audit log: what goes, and how few rows go at a time."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import purging
from audit.events import Operation, ResourceType
from audit.models import AuditLog
from harborsite.jobs.runner import StopJob

pytestmark = pytest.mark.django_db(transaction=True)


def rows(count: int, operation: Operation, *, hours_ago: int) -> None:
    when = timezone.now() - timedelta(hours=hours_ago)
    AuditLog.objects.bulk_create(
        AuditLog(username="u", operation=operation, resource_type=ResourceType.ARTIFACT, resource="r", op_time=when)
        for _ in range(count)
    )


def purge(**changes: object) -> int:
    wanted = {"hours": 10, "events": ["pull_artifact"], "dry_run": False, "check_stop": lambda: None, **changes}
    return purging.purge(**wanted)  # type: ignore[arg-type]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the transactions; nobody waits between them."""
    sizes: list[int] = []
    delete = purging._delete

    def counted(keys: list[int]) -> tuple[int, float]:
        sizes.append(len(keys))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            result = delete(keys)
        assert sum("DELETE" in query["sql"] for query in queries) == 1
        return result

    monkeypatch.setattr(purging, "_delete", counted)
    monkeypatch.setattr(purging, "_pause", lambda seconds: None)
    return sizes


def test_only_old_rows_of_the_events_go_in_any_order_of_time(batches: list[int]) -> None:
    for hours in (5, 20, 5, 20):
        rows(30, Operation.PULL, hours_ago=hours)
        rows(10, Operation.CREATE, hours_ago=hours)
    assert purge(dry_run=True) == 60
    assert purge() == 60
    assert AuditLog.objects.count() == 100
    assert not AuditLog.objects.filter(operation="pull", op_time__lt=timezone.now() - timedelta(hours=10)).exists()
    assert purge() == 0


def test_no_transaction_is_larger_than_allowed(batches: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "WINDOW", 1000)
    rows(3000, Operation.PULL, hours_ago=20)
    seen: list[tuple[int, int]] = []
    assert purge(progress=lambda done, total: seen.append((done, total))) == 3000
    assert max(batches) <= purging.LARGEST
    assert batches[0] <= purging.FIRST
    assert seen == [(1000, 3000), (2000, 3000), (3000, 3000)]


@pytest.mark.parametrize(("seconds", "expected"), [(10.0, purging.SMALLEST), (0.0001, purging.LARGEST)])
def test_batches_shrink_where_they_take_long_and_grow_where_they_do_not(
    seconds: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(3000, Operation.PULL, hours_ago=20)
    sizes: list[int] = []
    slept: list[float] = []

    def delete(keys: list[int]) -> tuple[int, float]:
        sizes.append(len(keys))
        return len(keys), seconds

    monkeypatch.setattr(purging, "_delete", delete)
    monkeypatch.setattr(purging, "_pause", slept.append)
    assert purge() == 3000
    assert sizes[1] == expected
    assert slept == [seconds] * len(sizes), "others get as long as they had to wait"


def test_it_can_be_stopped_between_two_batches(batches: list[int]) -> None:
    rows(1000, Operation.PULL, hours_ago=20)

    def stop() -> None:
        if len(batches) == 2:
            raise StopJob

    with pytest.raises(StopJob):
        purge(check_stop=stop)
    assert AuditLog.objects.count() == 1000 - sum(batches) > 0


def test_rows_go_by_their_keys_and_no_row_lock_keeps_others_from_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a transaction others write; SQLite alone, which has one lock for all, makes them wait."""
    rows(3000, Operation.PULL, hours_ago=20)
    delete, plans, written = purging._delete, list[str](), list[int]()

    def write() -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "mysql":
                cursor.execute("SET innodb_lock_wait_timeout = 1")
        rows(1, Operation.PULL, hours_ago=30)
        written.append(1)
        connection.close()

    def looked_at(keys: list[int]) -> tuple[int, float]:
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            result = delete(keys)
            if connection.vendor == "mysql":
                writer = threading.Thread(target=write)
                writer.start()
                writer.join()
        (statement,) = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
        plans.append(plan_of(statement))
        return result

    monkeypatch.setattr(purging, "_delete", looked_at)
    monkeypatch.setattr(purging, "_pause", lambda seconds: None)
    assert purge() == 3000
    if connection.vendor == "mysql":
        assert plans[0] == "range PRIMARY", "of the last few rows the server may read all"
        assert len(written) == len(plans)
    else:
        assert set(plans) == {"SEARCH audit_auditlog USING INTEGER PRIMARY KEY (rowid=?)"}


def plan_of(statement: str) -> str:
    """How the database finds the rows of a DELETE."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            return str(cursor.fetchone()[-1])
        cursor.execute(f"EXPLAIN {statement}")
        names = [column[0] for column in cursor.description]
        step = dict(zip(names, cursor.fetchone(), strict=True))
    return f"{step['type']} {step['key']}"
