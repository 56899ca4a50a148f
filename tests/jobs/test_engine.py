"""The job engine: claims, leases, retries, stops, schedules, and what is picked up after a crash."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from harborsite.errors import BadRequest, PreconditionFailed
from harborsite.jobs import cron, engine, heartbeat, queue, runner, schedules, sweep
from harborsite.jobs.kinds import KINDS, SYSTEM_SCHEDULES, Kind
from harborsite.jobs.models import Execution, Schedule, Status, Task, TaskLog, Trigger, Worker
from harborsite.jobs.runner import Job, Later, PermanentError

pytestmark = pytest.mark.django_db(transaction=True)

ran: list[dict[str, object]] = []
behaviour: list[Callable[[Job], None]] = []


def work(job: Job) -> None:
    """The job function of the kind that these tests use."""
    ran.append(dict(job.attrs))
    for act in behaviour:
        act(job)


def find_tasks(execution: Execution) -> list[dict[str, object]]:
    return [{"part": number} for number in range(int(execution.extra_attrs["parts"]))]


@pytest.fixture(autouse=True)
def _kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    ran.clear()
    behaviour.clear()
    kinds = {
        "TEST": Kind(f"{__name__}.work", max_attempts=2, keep=2),
        "TEST_ALONE": Kind(f"{__name__}.work", concurrency=1),
        "TEST_FAN": Kind(f"{__name__}.work", launch=f"{__name__}.find_tasks"),
    }
    for name, kind in kinds.items():
        monkeypatch.setitem(KINDS, name, kind)


def started(kind: str = "TEST", **attrs: object) -> tuple[Execution, Task]:
    execution = engine.start(vendor_type=kind, extra_attrs=attrs)
    return execution, execution.tasks.get()


def fail(job: Job) -> None:
    raise OSError("the other side is down")


def test_a_task_runs_once_however_often_it_is_queued() -> None:
    execution, task = started(x=1)
    assert OrmQ.objects.count() == 1
    runner.run(task.pk)
    runner.run(task.pk)
    execution.refresh_from_db()
    assert ran == [{"x": 1}]
    assert (execution.status, execution.tasks.get().status) == (Status.SUCCESS, Status.SUCCESS)
    assert execution.end_time is not None


def test_a_failure_is_tried_again_later_and_then_ends_in_error() -> None:
    behaviour.append(fail)
    execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert task.status == Status.PENDING
    assert task.not_before is not None
    assert task.not_before > timezone.now()
    runner.run(task.pk)
    assert len(ran) == 1, "it waits for its time"
    Task.objects.update(not_before=timezone.now())
    runner.run(task.pk)
    task.refresh_from_db()
    execution.refresh_from_db()
    assert (task.status, task.status_message, execution.status) == (
        Status.ERROR,
        "the other side is down",
        Status.ERROR,
    )
    assert "the other side is down" in "".join(TaskLog.objects.values_list("text", flat=True))


def test_a_job_that_can_do_nothing_yet_lets_others_go_first() -> None:
    def wait(job: Job) -> None:
        raise Later

    behaviour.append(wait)
    execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert (task.status, task.failures, task.not_before) == (Status.PENDING, 0, None)
    behaviour.clear()
    runner.run(task.pk)
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS


def test_what_is_remembered_says_whether_the_task_is_still_ones_own() -> None:
    kept: list[bool] = []

    def remember(job: Job) -> None:
        kept.append(job.remember(at=1))
        Task.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        sweep.recover_lost_tasks(timezone.now())
        kept.append(job.remember(at=2))

    behaviour.append(remember)
    _execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert (kept, task.extra_attrs) == ([True, False], {"at": 1})


def test_a_permanent_failure_is_not_tried_again() -> None:
    def refuse(job: Job) -> None:
        raise PermanentError("wrong password")

    behaviour.append(refuse)
    _, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert (task.status, task.status_message) == (Status.ERROR, "wrong password")


def test_one_failed_task_is_retried_alone() -> None:
    execution = engine.start(vendor_type="TEST_FAN", extra_attrs={"parts": 2})
    runner.launch(execution.pk)
    first, second = execution.tasks.order_by("pk")
    runner.run(first.pk)
    behaviour.append(fail)
    runner.run(second.pk)
    execution.refresh_from_db()
    assert execution.status == Status.ERROR
    behaviour.clear()
    engine.retry(task=second)
    runner.run(second.pk)
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS
    assert ran == [{"part": 0}, {"part": 1}, {"part": 1}]
    with pytest.raises(PreconditionFailed):
        engine.retry(task=first)


def test_launching_twice_makes_the_tasks_once() -> None:
    execution = engine.start(vendor_type="TEST_FAN", extra_attrs={"parts": 3})
    runner.launch(execution.pk)
    runner.launch(execution.pk)
    assert execution.tasks.count() == 3


def test_an_execution_with_nothing_to_do_succeeds() -> None:
    execution = engine.start(vendor_type="TEST_FAN", extra_attrs={"parts": 0})
    runner.launch(execution.pk)
    execution.refresh_from_db()
    assert (execution.status, execution.tasks.count()) == (Status.SUCCESS, 0)


def test_a_waiting_task_stops_at_once_and_a_running_one_when_it_looks() -> None:
    execution, task = started()
    engine.stop(execution=execution)
    runner.run(task.pk)
    execution.refresh_from_db()
    assert (execution.status, ran) == (Status.STOPPED, [])

    def stop_itself(job: Job) -> None:
        engine.stop_task(task=job.task)
        job.flush()
        job._flushed_at = 0  # as if a second had passed
        job.progress(1, 2, "blobs")
        job.check_stop()

    behaviour.append(stop_itself)
    execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert (task.status, task.done, task.total, task.unit) == (Status.STOPPED, 1, 2, "blobs")


def test_a_task_of_a_dead_worker_is_put_back_and_its_late_outcome_ignored() -> None:
    def outlive_the_lease(job: Job) -> None:
        Task.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        sweep.recover_lost_tasks(timezone.now())

    behaviour.append(outlive_the_lease)
    execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    assert task.status == Status.PENDING, "the first worker's success does not count: another may have begun"
    behaviour.clear()
    runner.run(task.pk)
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS


def test_what_a_dead_process_of_this_host_was_doing_is_taken_up_at_once() -> None:
    with subprocess.Popen(["true"]) as gone, subprocess.Popen(["sleep", "60"]) as alive:
        gone.wait()
        workers = {
            f"{socket.gethostname()}:{gone.pid}": Status.PENDING,
            f"{socket.gethostname()}:{os.getpid()}": Status.PENDING,  # it has just started, so that was not its own
            f"{socket.gethostname()}:{alive.pid}": Status.RUNNING,
            f"elsewhere:{gone.pid}": Status.RUNNING,
        }
        until = timezone.now() + timedelta(minutes=1)
        for worker in workers:
            _, task = started()
            Task.objects.filter(pk=task.pk).update(status=Status.RUNNING, lease_until=until, worker=worker, run_count=1)
        OrmQ.objects.all().delete()
        sweep.start_over()
        alive.kill()
    assert dict(Task.objects.values_list("worker", "status")) == workers
    assert OrmQ.objects.count() >= 2


def test_a_task_that_kills_its_workers_is_given_up() -> None:
    _, task = started()
    long_ago = timezone.now() - timedelta(hours=1)
    Task.objects.update(status=Status.RUNNING, lease_until=long_ago, run_count=9, losses=sweep.LOST_RUNS - 1)
    sweep.tick()
    task.refresh_from_db()
    assert (task.status, task.status_message) == (Status.ERROR, "its worker died")


def test_a_lost_queue_entry_is_pushed_again() -> None:
    started()
    OrmQ.objects.all().delete()
    sweep.tick()
    assert OrmQ.objects.count() == 1
    sweep.tick()
    assert OrmQ.objects.count() == 1, "not while the queue still holds something"


def test_an_entry_is_pushed_again_although_others_wait() -> None:
    for _ in range(3):
        started()
    OrmQ.objects.filter(pk=OrmQ.objects.order_by("pk")[0].pk).delete()
    sweep.tick()
    queued = [SignedPackage.loads(entry.payload)["args"][0] for entry in OrmQ.objects.all()]
    assert set(queued) == set(Task.objects.values_list("pk", flat=True))


def test_what_has_no_room_is_not_pushed_again() -> None:
    _, first = started("TEST_ALONE")
    started("TEST_ALONE")
    OrmQ.objects.all().delete()
    until = timezone.now() + timedelta(minutes=1)
    Task.objects.filter(pk=first.pk).update(status=Status.RUNNING, lease_until=until)
    sweep.tick()
    assert not OrmQ.objects.exists()


def test_a_job_that_looks_is_put_back_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_the_server(job: Job) -> None:
        runner.leave()
        job.remember(cursor=7)
        job.check_stop()

    monkeypatch.setattr(runner, "_leaving", False)
    behaviour.append(stop_the_server)
    execution, task = started()
    runner.run(task.pk)
    task.refresh_from_db()
    execution.refresh_from_db()
    assert (task.status, task.failures, task.losses, task.not_before) == (Status.PENDING, 0, 0, None)
    assert (execution.status, execution.end_time, task.extra_attrs) == (Status.RUNNING, None, {"cursor": 7})


def test_a_queue_that_is_down_fails_nothing_and_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def refuse(*args: object, **kwargs: object) -> None:
        tried.append(args)
        raise OSError("refused")

    monkeypatch.setattr(queue, "_away_until", float("-inf"))
    with monkeypatch.context() as down:
        down.setattr(queue, "async_task", refuse)
        started()
        started()
    assert len(tried) == 1
    assert Task.objects.filter(status=Status.PENDING).count() == 2
    monkeypatch.setattr(queue, "_away_until", float("-inf"))
    sweep.tick()
    assert OrmQ.objects.count() == 2


def test_a_worker_that_has_ended_is_off_the_list() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    now, host = timezone.now(), socket.gethostname()
    Worker.objects.create(name=f"{host}:{gone.pid}", host=host, pid=gone.pid, start_time=now, heartbeat=now)
    _, task = started()
    Task.objects.update(status=Status.RUNNING, lease_until=now + timedelta(minutes=1), worker=f"{host}:{gone.pid}")
    sweep.bury(gone.pid)
    task.refresh_from_db()
    assert (task.status, task.losses) == (Status.PENDING, 1)
    assert not Worker.objects.exists()


def test_workers_of_a_server_that_was_killed_are_off_the_list_when_it_starts_again() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    now, host = timezone.now(), socket.gethostname()
    for name, pid in ((host, gone.pid), (host, os.getppid()), ("elsewhere", gone.pid)):
        Worker.objects.create(name=f"{name}:{pid}", host=name, pid=pid, start_time=now, heartbeat=now)
    left = [f"{host}:{os.getppid()}", f"elsewhere:{gone.pid}"]
    assert sorted(worker.name for worker in heartbeat.living()) == sorted(left), "also before that"
    sweep.start_over()
    assert sorted(Worker.objects.values_list("name", flat=True)) == sorted(left)


def test_while_tasks_are_found_out_nobody_begins_anew() -> None:
    execution = engine.start(vendor_type="TEST_FAN", extra_attrs={"parts": 1})
    OrmQ.objects.all().delete()
    sweep.tick()
    assert not OrmQ.objects.exists(), "it has only just been started"
    Execution.objects.update(update_time=timezone.now() - timedelta(seconds=runner.LEASE_SECONDS + 1))
    sweep.tick()
    assert OrmQ.objects.count() == 1
    assert execution.pk


def test_a_kind_with_room_for_one_runs_one_at_a_time() -> None:
    second_ran_inside: list[bool] = []

    def try_the_other(job: Job) -> None:
        other = Task.objects.exclude(pk=job.task.pk).get()
        runner.run(other.pk)
        other.refresh_from_db()
        second_ran_inside.append(other.status != Status.PENDING)

    behaviour.append(try_the_other)
    _, first = started("TEST_ALONE")
    started("TEST_ALONE")
    OrmQ.objects.all().delete()
    runner.run(first.pk)
    assert second_ran_inside == [False]
    assert OrmQ.objects.count() == 1, "the free place is offered to the next"


def test_a_paused_queue_waits() -> None:
    engine.pause(vendor_type="TEST")
    _, task = started()
    runner.run(task.pk)
    assert ran == []
    engine.resume(vendor_type="TEST")
    runner.run(task.pk)
    assert len(ran) == 1


def test_a_due_schedule_starts_one_execution_and_missed_ones_are_made_up_for_once() -> None:
    schedule = schedules.put(vendor_type="TEST", vendor_id=7, expression="0 0 * * * *", extra_attrs={"a": 1})
    Schedule.objects.filter(pk=schedule.pk).update(next_time=timezone.now() - timedelta(hours=5))
    schedules.fire_due(timezone.now())
    schedules.fire_due(timezone.now())
    execution = Execution.objects.get(vendor_type="TEST")
    assert (execution.vendor_id, execution.trigger, execution.extra_attrs) == (7, Trigger.SCHEDULE, {"a": 1})
    schedule.refresh_from_db()
    assert schedule.next_time > timezone.now()


def test_paused_schedules_do_not_fire() -> None:
    engine.pause(vendor_type="SCHEDULER")
    schedules.put(vendor_type="TEST", expression="0 * * * * *")
    Schedule.objects.update(next_time=timezone.now() - timedelta(hours=1))
    schedules.fire_due(timezone.now())
    assert not Execution.objects.exists()


def test_system_schedules_are_written_once() -> None:
    schedules.ensure_system_schedules()
    schedules.ensure_system_schedules()
    assert set(Schedule.objects.values_list("vendor_type", flat=True)) == set(SYSTEM_SCHEDULES)


def test_old_executions_are_trimmed_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH", 2)
    for _ in range(8):
        _execution, task = started()
        runner.run(task.pk)
    execution, task = started("EXECUTION_SWEEP")
    runner.run(task.pk)
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS
    assert Execution.objects.filter(vendor_type="TEST").count() == 2


@pytest.mark.parametrize(
    "expression", ["", "* * * * *", "1 0 0 * * *", "0 61 * * * *", "0 0 0 30 2 *", "@daily", "0 0 0 * * mon-"]
)
def test_a_bad_cron_is_refused(expression: str) -> None:
    with pytest.raises(BadRequest):
        cron.check(expression)


def test_cron_is_evaluated_in_utc() -> None:
    after = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert cron.next_time("0 0 0 * * *", after) == datetime(2026, 3, 2, tzinfo=UTC)
    assert cron.next_time("0 */15 * ? * 1", after) == datetime(2026, 3, 2, tzinfo=UTC)
