"""`python -m bench.purge`: purge a large audit log while somebody else writes, and say how long a write has to wait."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.services import ROOT, mariadb

LIMIT_SECONDS = 0.1  # for how long the purge may keep another from writing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.purge", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["sqlite", "mariadb"], default="sqlite")
    parser.add_argument("--inside", choices=["purge", "write"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside == "write":
        return write()
    if options.inside == "purge":
        return measure(options.rows)
    return in_an_installation("bench.purge", options.database, "--inside=purge", f"--rows={options.rows}")


def in_an_installation(module: str, database: str, *arguments: str) -> int:
    """Run `python -m module arguments` with a fresh data volume and database; returns its exit status."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "harbor.cfg").write_text("data_volume = ./data\n")
        env = {"HARBOR_DATABASE": "sqlite"}
        if database == "mariadb":
            env = stack.enter_context(stack.enter_context(mariadb()).database())
        env = os.environ | env | {"HARBOR_CFG": str(directory / "harbor.cfg")}
        env |= {"DJANGO_SETTINGS_MODULE": "harborsite.settings"}
        subprocess.run([sys.executable, ROOT / "manage.py", "prepare"], env=env, check=True, stdout=subprocess.DEVNULL)
        return subprocess.run([sys.executable, "-m", module, *arguments], env=env, check=False).returncode


def measure(rows: int) -> int:
    import django

    django.setup()
    from django.db import connections
    from django.utils import timezone

    from audit import purging
    from audit.models import AuditLog

    began = time.monotonic()
    old = timezone.now() - timedelta(days=30)
    fill(rows, old)
    print(f"{rows:,} rows made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    connections.close_all()
    quiet = with_writer(lambda: time.sleep(5))
    batches: list[tuple[int, float]] = []
    delete = purging._delete

    def timed(keys: Any) -> tuple[int, float]:
        result = delete(keys)
        batches.append(result)
        return result

    purging._delete = timed
    removed: list[int] = []
    locks = Locks()
    began = time.monotonic()

    def purge() -> None:
        found = purging.purge(hours=24, events=["pull_artifact"], dry_run=False, check_stop=lambda: None)
        removed.append(found)

    busy = with_writer(purge)
    took = time.monotonic() - began
    largest = max(count for count, _ in batches)
    print(f"{removed[0]:,} rows removed in {took:.0f} s, {len(batches):,} transactions of {largest} rows at most")
    print(f"a transaction from its beginning until it is on disk: {spread([seconds for _, seconds in batches])}")
    held = locks.report()
    print(f"quiet, a write: {spread(quiet)}")
    print(f"while purging, a write: {spread(busy)}")
    left = AuditLog.objects.filter(op_time__lte=old).count()
    return 0 if left == 0 and held <= LIMIT_SECONDS else 1


def spread(seconds: Sequence[float]) -> str:
    """Median, 99th percentile and maximum, in ms."""
    times = [each * 1000 for each in sorted(seconds)]
    median, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"median {median:.1f} ms, p99 {p99:.0f} ms, longest {times[-1]:.0f} ms"


class Locks:
    """What the purge keeps others from: on SQLite all writing while it holds the gate, on MySQL the rows it locks."""

    def __init__(self) -> None:
        from django.db import connection

        self._held: list[tuple[float, float]] = []  # seconds by the clock, and those of the processor
        self._vendor = connection.vendor
        if self._vendor == "sqlite":
            self._watch_the_gate()
        else:
            self._before = self._row_lock_waits()

    def _watch_the_gate(self) -> None:
        from harborsite.db.sqlite3.base import DatabaseWrapper

        gate: Any = DatabaseWrapper
        enter, leave = gate._enter_gate, gate._leave_gate
        since = (0.0, 0.0)

        def entered(wrapper: DatabaseWrapper) -> None:
            nonlocal since
            enter(wrapper)
            since = (time.monotonic(), time.thread_time())

        def left(wrapper: DatabaseWrapper) -> None:
            leave(wrapper)
            self._held.append((time.monotonic() - since[0], time.thread_time() - since[1]))

        gate._enter_gate, gate._leave_gate = entered, left

    def _row_lock_waits(self) -> tuple[int, int]:
        """How often anybody has waited for a row, and for how many ms at most."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock%%'")
            found = dict(cursor.fetchall())
        return int(found["Innodb_row_lock_waits"]), int(found["Innodb_row_lock_time_max"])

    def report(self) -> float:
        """Say it; returns for how many seconds at most somebody was kept waiting."""
        if self._vendor == "sqlite":
            print(f"the gate was held: {spread([clock for clock, _ in self._held])}")
            print(f"the processor's time of that: {spread([own for _, own in self._held])}")
            return max(clock for clock, _ in self._held)
        waits, longest = self._row_lock_waits()
        print(f"waits for a row lock: {waits - self._before[0]}")
        return longest / 1000 if waits > self._before[0] else 0.0


def fill(rows: int, when: Any) -> None:
    from audit.models import AuditLog

    def row(number: int) -> AuditLog:
        return AuditLog(
            username=f"user-{number % 50}",
            operation="pull",
            resource_type="artifact",
            resource=f"library/app-{number % 1000}:v1",
            project_id=number % 20,
            data={"digest": "sha256:" + "0" * 64},
            op_time=when,
        )

    for begin in range(0, rows, 10_000):
        AuditLog.objects.bulk_create(row(number) for number in range(begin, min(begin + 10_000, rows)))


def with_writer(work: Any) -> list[float]:
    """Do `work` while another process writes; how long its writes took, the shortest first."""
    argv = [sys.executable, "-m", "bench.purge", "--inside=write"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        if writer.stdin is None or writer.stdout is None or not writer.stdout.readline():
            raise RuntimeError("the writer did not start")
        work()
        writer.stdin.close()
        found: list[float] = json.loads(writer.stdout.read())
    return sorted(found)


def write() -> int:
    """Write records, as pushes do, about a hundred a second, until the input ends."""
    import select

    import django

    django.setup()
    from audit import services
    from audit.events import Operation, ResourceType

    def record() -> None:
        from django.db import transaction

        with transaction.atomic():
            services.record(
                actor="writer",
                operation=Operation.CREATE,
                resource_type=ResourceType.ARTIFACT,
                resource="library/new:v1",
            )

    record()
    print("ready", flush=True)
    times: list[float] = []
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        began = time.monotonic()
        record()
        times.append(time.monotonic() - began)
    print(json.dumps(times), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
