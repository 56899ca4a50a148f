"""Webhooks of many events at once, as where a repository goes: each is told once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from harborsite.jobs import engine, runner, sweep
from harborsite.jobs.models import Execution, Status, Task
from projects.models import Project, User, WebhookPolicy
from projects.webhooks import events, many
from registry.models import Artifact, Repository
from registry.services import deletes
from tests.api.calls import delete, made, post
from tests.api.test_policies import run_everything
from tests.api.test_webhooks import POLICIES, hook, owner, receiver
from tests.factories import push
from tests.images import image
from tests.receiver import Receiver
from tests.registry.points import Killed, kill

__all__ = ["owner", "receiver"]

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 12


@pytest.fixture
def digests(owner: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the artifacts of a repository that a webhook watches."""
    monkeypatch.setattr(many, "FEW", 1)
    monkeypatch.setattr(many, "STEP", 2)
    monkeypatch.setattr(deletes, "PIECE", 5)
    pushed = [image(f"v{number}") for number in range(COUNT)]
    for number, manifest in enumerate(pushed):
        push(owner, f"library/alpine:v{number}", manifest)
    made(post(owner, POLICIES, hook(receiver.url, "DELETE_ARTIFACT")))
    return sorted(manifest.digest for manifest in pushed)


def deliver_all() -> None:
    while Task.objects.filter(status=Status.PENDING).exists():
        run_everything()


def told(receiver: Receiver) -> list[str]:
    return sorted(each["event_data"]["resources"][0]["digest"] for each in receiver.all("DELETE_ARTIFACT"))


def expanding() -> Any:
    return Task.objects.filter(vendor_type="WEBHOOK_EVENTS")


def lose(task_id: int) -> None:
    """The worker of this task died, and its guard with it."""
    Task.objects.filter(pk=task_id).update(lease_until=timezone.now() - timedelta(seconds=1))
    sweep.recover_lost_tasks(timezone.now())


def test_the_request_makes_no_delivery_and_each_artifact_is_told(
    owner: Client, receiver: Receiver, digests: list[str]
) -> None:
    assert delete(owner, "/projects/library/repositories/alpine").status_code == 200
    assert not Execution.objects.filter(vendor_type="WEBHOOK").exists()
    assert expanding().count() == 3, "one for each piece"
    before = timezone.now().timestamp()
    deliver_all()
    assert told(receiver) == digests
    shown = receiver.all("DELETE_ARTIFACT")[0]
    assert (shown["operator"], shown["event_data"]["repository"]["repo_full_name"]) == ("alice", "library/alpine")
    assert shown["occur_at"] <= before, "it happened when the artifact was deleted"


def test_events_are_written_down_in_the_transaction_that_deletes(
    owner: Client, digests: list[str], alice: User
) -> None:
    repository = Repository.objects.get(name="library/alpine")
    with transaction.atomic():
        deletes.delete_repository(repository=repository, actor=alice)
        assert expanding().count() == 3
        transaction.set_rollback(True)
    assert Artifact.objects.count() == COUNT
    assert not Execution.objects.exists()


@pytest.mark.parametrize("at", range(1, 6))
def test_a_worker_that_dies_loses_no_event_and_tells_none_twice(
    owner: Client, receiver: Receiver, digests: list[str], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    delete(owner, "/projects/library/repositories/alpine")
    task = expanding().order_by("pk").first()
    job = claimed(task.pk)
    with monkeypatch.context() as patched:
        dying(patched, at)
        with pytest.raises(Killed):
            many.make_deliveries(job)
    lose(task.pk)
    deliver_all()
    assert told(receiver) == digests


def claimed(task_id: int) -> runner.Job:
    """What a worker has that began with this task."""
    task = runner._claim(task_id)
    assert task is not None
    return runner.Job(task)


def dying(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The worker is killed when it makes its delivery of this number."""
    made_so_far = [0]

    def dies(**values: Any) -> Any:
        made_so_far[0] += 1
        if made_so_far[0] == at:
            kill()
        return events.tell(**values)

    monkeypatch.setattr(many, "tell", dies)


def test_a_worker_that_was_given_up_makes_nothing_more(
    owner: Client, receiver: Receiver, digests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(owner, "/projects/library/repositories/alpine")
    task = expanding().order_by("pk").first()
    with monkeypatch.context() as patched:
        meanwhile(patched, lambda: lose(task.pk))
        runner.run(task.pk)
    task.refresh_from_db()
    assert task.status == Status.PENDING
    assert not Execution.objects.filter(vendor_type="WEBHOOK").exists()
    deliver_all()
    assert told(receiver) == digests


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Something happens between two looks at how many deliveries wait."""
    waiting = many._waiting

    def looks() -> int:
        act()
        return waiting()

    monkeypatch.setattr(many, "_waiting", looks)


def test_where_many_deliveries_wait_other_jobs_have_their_turn(
    owner: Client, receiver: Receiver, digests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "MOST_WAITING", 4)
    monkeypatch.setattr(many, "_PATIENCE_SECONDS", 0.0)
    delete(owner, "/projects/library/repositories/alpine")
    task = expanding().order_by("pk").first()
    runner.run(task.pk)
    task.refresh_from_db()
    assert (task.status, task.failures, task.extra_attrs["done"]) == (Status.PENDING, 0, 4)
    assert Execution.objects.filter(vendor_type="WEBHOOK").count() == 4
    deliver_all()
    assert told(receiver) == digests


def test_a_webhook_that_was_switched_off_is_told_no_more(
    owner: Client, receiver: Receiver, digests: list[str], library: Project
) -> None:
    delete(owner, "/projects/library/repositories/alpine")
    WebhookPolicy.objects.update(enabled=False)
    deliver_all()
    assert not receiver.got
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.SUCCESS}


def test_the_job_is_stopped_as_any_other(owner: Client, receiver: Receiver, digests: list[str]) -> None:
    delete(owner, "/projects/library/repositories/alpine")
    for task in expanding():
        engine.stop_task(task=task)
    deliver_all()
    assert not receiver.got
