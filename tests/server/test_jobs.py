"""The job process: who is woken for what waits, and which process a worker becomes."""

from __future__ import annotations

from typing import Any

import pytest
from django_q.signing import SignedPackage

from harborsite.jobs import heartbeat, queue, runner
from harborsite.jobs.models import Worker
from harborsite.server import jobs
from harborsite.server.jobs import Bell, Entries


def test_as_many_are_woken_as_were_rung_for_last() -> None:
    bell = Bell()
    assert not bell.is_heard(0)
    bell.ring(3)
    bell.ring(2)
    assert [bell.is_heard(0) for _ in range(3)] == [True, True, False]
    bell.ring(2)
    bell.ring(0)
    assert not bell.is_heard(0)


class Broker:
    """A queue with so many entries that is told how often it was asked."""

    def __init__(self, entries: int) -> None:
        self.entries, self.asked = entries, 0

    def dequeue(self) -> list[tuple[int, Any]]:
        self.asked += 1
        self.entries -= 1
        return [(1, "package")] if self.entries >= 0 else []

    def acknowledge(self, entry: int) -> None:
        pass


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker(2)
    monkeypatch.setattr(queue, "broker", lambda: broker)
    monkeypatch.setattr(SignedPackage, "loads", lambda package: package)
    monkeypatch.setattr(jobs, "PAUSE_SECONDS", 0)
    return broker


def test_a_worker_that_was_woken_takes_all_there_is_and_then_rests_and_ends(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REST_SECONDS", 0.05)
    bell = Bell()
    bell.ring(1)
    entries = Entries(bell)
    assert [entries.get() for _ in range(3)] == ["package", "package", "STOP"]
    assert broker.asked == 3


def test_a_worker_that_nobody_has_woken_asks_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    monkeypatch.setattr(runner, "is_leaving", lambda: next(answers))
    assert Entries(Bell()).get() == "STOP"
    assert broker.asked == 0


@pytest.mark.django_db
def test_a_new_worker_is_on_the_list_at_once_and_keeps_its_time() -> None:
    beats = heartbeat.Beats()
    beats.beat([11])
    first = Worker.objects.get()
    assert (first.name, first.pid) == (heartbeat.worker_name(11), 11)
    beats.beat([11, 12])
    assert sorted(Worker.objects.values_list("pid", flat=True)) == [11, 12]
    first.refresh_from_db()
    assert first.heartbeat == first.start_time, "it is not due yet"
    beats._due = 0
    beats.beat([11, 12])
    beaten = Worker.objects.get(pk=first.pk)
    assert beaten.start_time == first.start_time
    assert beaten.heartbeat > first.heartbeat
