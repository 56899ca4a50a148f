"""Jobs that run on a schedule or at once, and the dashboard of what runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Created, Done, Nothing, Paged, Text, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_number, to_time
from harborsite.api.wire import ZERO_TIME, stamp
from harborsite.errors import BadRequest, NotFound, Unprocessable
from harborsite.jobs import dashboard, engine, schedules
from harborsite.jobs.models import Execution, Schedule, Status, Task, Worker
from projects.api.base import SIGNED_IN, ApiView

TYPES = ("Hourly", "Daily", "Weekly", "Custom", "Manual", "None", "Schedule")
ALL = "all"
COLUMNS = {
    "id": Column("pk", to_number),
    "status": Column("status"),
    "trigger": Column("trigger"),
    "start_time": Column("start_time", to_time),
    "creation_time": Column("start_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class When:
    type: str = ""
    cron: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    schedule: When = When()
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionRequest:
    action: str = ""


class ShownWhen(TypedDict):
    type: str
    cron: NotRequired[str]
    next_scheduled_time: Time


class ShownSchedule(TypedDict):
    id: int
    job_kind: str
    job_parameters: str
    job_status: str
    schedule: ShownWhen
    creation_time: Time
    update_time: Time


class ShownRun(TypedDict):
    id: int
    job_name: str
    job_kind: str
    job_parameters: str
    job_status: str
    schedule: ShownWhen
    creation_time: Time
    update_time: Time


class Pool(TypedDict):
    worker_pool_id: str
    host: str
    pid: int
    start_at: Time
    heartbeat_at: Time
    concurrency: int


class ShownWorker(TypedDict):
    """What it does is left out while it does nothing."""

    id: str
    pool_id: str
    job_name: NotRequired[str]
    job_id: NotRequired[str]
    start_at: NotRequired[Time]
    checkin_at: NotRequired[Time]


class ShownJob(dashboard.Progress):
    """A job and how far it is."""

    start_time: Time
    end_time: Time


class Queue(TypedDict):
    """Its latency is how many seconds the oldest has waited."""

    job_type: str
    count: int
    latency: int
    paused: bool


class Scheduled(TypedDict):
    id: int
    vendor_type: str
    vendor_id: int
    cron: str
    update_time: Time


class Paused(TypedDict):
    paused: bool


def render_schedule(schedule: Schedule) -> ShownSchedule:
    return {
        "id": schedule.pk,
        "job_kind": schedule.cron,
        "job_parameters": json.dumps(schedule.extra_attrs, sort_keys=True),
        "job_status": Status.RUNNING,
        "schedule": {
            "type": schedule.cron_type,
            "cron": schedule.cron,
            "next_scheduled_time": stamp(schedule.next_time),
        },
        "creation_time": stamp(schedule.creation_time),
        "update_time": stamp(schedule.update_time),
    }


def render_run(execution: Execution) -> ShownRun:
    """A run with what it was told and what came of it; its task is expected to be loaded."""
    results = [task.extra_attrs for task in execution.tasks.all()]
    parameters = {**execution.extra_attrs, **(results[0] if results else {})}
    return {
        "id": execution.pk,
        "job_name": execution.vendor_type,
        "job_kind": execution.trigger,
        "job_parameters": json.dumps(parameters, sort_keys=True),
        "job_status": execution.status,
        "schedule": {
            "type": "Manual" if execution.trigger == "MANUAL" else "Schedule",
            "next_scheduled_time": ZERO_TIME,
        },
        "creation_time": stamp(execution.start_time),
        "update_time": stamp(execution.update_time),
    }


class JobBase(ApiView):
    """One kind of job of the system, with its schedule and its runs."""

    vendor_type: ClassVar[str]
    place: ClassVar[str]

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the job is told; raises BadRequest for what it can not be."""
        raise NotImplementedError

    def runs(self) -> Any:
        return Execution.objects.filter(vendor_type=self.vendor_type).prefetch_related("tasks")

    def run(self, execution_id: int) -> Execution:
        """Only among the runs of this kind, whatever the number says."""
        execution: Execution | None = self.runs().filter(pk=execution_id).first()
        if execution is None:
            raise NotFound(f"execution {execution_id} not found")
        return execution


class JobScheduleView(JobBase):
    def get(self, request: Request) -> Answer[ShownSchedule] | Nothing:
        schedule = Schedule.objects.filter(vendor_type=self.vendor_type, vendor_id=0).first()
        if schedule is None:
            return Nothing()
        return Answer(render_schedule(schedule))

    def post(self, request: Request) -> Created:
        """Run now, or set the schedule; one that is there is replaced."""
        execution = self._apply(body.read(request, ScheduleRequest))
        return Created(f"/api/v2.0/{self.place}/{execution.pk if execution else 0}")

    def put(self, request: Request) -> Done:
        self._apply(body.read(request, ScheduleRequest))
        return Done()

    def _apply(self, wanted: ScheduleRequest) -> Execution | None:
        kind, parameters = wanted.schedule.type, self.parameters(wanted.parameters)
        if kind not in TYPES:
            raise Unprocessable(f"schedule.type in body should be one of [{' '.join(TYPES)}]")
        if kind == "Manual":
            return engine.start(vendor_type=self.vendor_type, extra_attrs=parameters, actor=self.who)
        if kind == "None":
            schedules.remove(vendor_type=self.vendor_type, actor=self.who)
        elif kind != "Schedule":
            schedules.put(
                vendor_type=self.vendor_type,
                cron_type=kind,
                expression=wanted.schedule.cron,
                extra_attrs=parameters,
                actor=self.who,
            )
        return None


class JobRunsView(JobBase):
    def get(self, request: Request) -> Paged[ShownRun]:
        rows = query.filtered(self.runs(), query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [render_run(each) for each in found])


class JobRunView(JobBase):
    def get(self, request: Request, run_id: int) -> Answer[ShownRun]:
        return Answer(render_run(self.run(run_id)))

    def put(self, request: Request, run_id: int) -> Done:
        """Stop it; one that has ended stays as it is."""
        engine.stop(execution=self.run(run_id), actor=self.who)
        return Done()


class JobLogView(JobBase):
    def get(self, request: Request, run_id: int) -> Text:
        return log_of(self.run(run_id).tasks.first())


def log_of(task: Task | None) -> Text:
    if task is None:
        raise NotFound("the log is not found")
    return Text("".join(part.text for part in task.log_parts.all()))


# --- the dashboard --------------------------------------------------------------------------------


class PoolsView(ApiView):
    """The workers of one machine are a pool."""

    actions = {"GET": "jobservice-monitor:list"}

    def get(self, request: Request) -> Answer[list[Pool]]:
        return Answer(
            [
                {
                    "worker_pool_id": pool.host,
                    "host": pool.host,
                    "pid": pool.pid,
                    "start_at": stamp(pool.start_time),
                    "concurrency": len(pool.workers),
                    "heartbeat_at": stamp(pool.heartbeat),
                }
                for pool in dashboard.pools()
            ]
        )


class WorkersView(ApiView):
    actions = {"GET": "jobservice-monitor:list"}

    def get(self, request: Request, pool_id: str) -> Answer[list[ShownWorker]]:
        rows = Worker.objects.all() if pool_id == ALL else Worker.objects.filter(host=pool_id)
        busy = dashboard.work()
        return Answer([self._render(worker, busy.get(worker.name)) for worker in rows])

    def _render(self, worker: Worker, task: Task | None) -> ShownWorker:
        shape: ShownWorker = {"id": worker.name, "pool_id": worker.host}
        if task is None:
            return shape
        return {
            **shape,
            "job_name": task.vendor_type,
            "job_id": str(task.pk),
            "start_at": stamp(task.start_time),
            "checkin_at": stamp(task.update_time),
        }


class QueuesView(ApiView):
    actions = {"GET": "jobservice-monitor:list"}

    def get(self, request: Request) -> Answer[list[Queue]]:
        return Answer(
            [
                {"job_type": queue.kind, "count": queue.count, "latency": queue.latency, "paused": queue.paused}
                for queue in dashboard.queues()
            ]
        )


class QueueView(ApiView):
    """Let a kind of jobs wait, go on, or give up what waits; a kind that is not known has nothing to do."""

    actions = {"PUT": "jobservice-monitor:stop"}
    choices = (dashboard.STOP, dashboard.PAUSE, dashboard.RESUME)

    def put(self, request: Request, job_type: str) -> Done:
        action = body.read(request, ActionRequest).action
        if action not in self.choices:
            raise Unprocessable(f"action in body should be one of [{' '.join(self.choices)}]")
        known = set(dashboard.QUEUES)
        for kind in known if job_type.lower() == ALL else known & {job_type.upper()}:
            dashboard.steer(kind=kind, action=action, actor=self.who)
        return Done()


class JobView(ApiView):
    """Stop one running job, or all; one that is not there has stopped already."""

    actions = {"GET": "jobservice-monitor:list", "PUT": "jobservice-monitor:stop"}

    def get(self, request: Request, job_id: str) -> Answer[ShownJob]:
        """How far it is."""
        task = _job(job_id)
        return Answer(
            {
                **dashboard.progress(task),
                "start_time": stamp(task.start_time),
                "end_time": stamp(task.end_time),
            }
        )

    def put(self, request: Request, job_id: str) -> Done:
        rows = dashboard.unfinished()
        dashboard.stop_tasks(rows if job_id.lower() == ALL else rows.filter(pk=_number(job_id)), actor=self.who)
        return Done()


class JobRetryView(ApiView):
    """Try one job again that failed or was stopped; the others of its execution are left alone."""

    actions = {"POST": "jobservice-monitor:stop"}

    def post(self, request: Request, job_id: str) -> Done:
        engine.retry(task=_job(job_id), actor=self.who)
        return Done()


def _number(job_id: str) -> int:
    """The key; 0, which none has, where it is no number."""
    return int(job_id) if job_id.isascii() and job_id.isdigit() and len(job_id) < 19 else 0


def _job(job_id: str) -> Task:
    task = Task.objects.filter(pk=_number(job_id)).first()
    if task is None:
        raise NotFound(f"job {job_id[:32]} not found")
    return task


class AnyJobLogView(ApiView):
    actions = {"GET": "jobservice-monitor:list"}

    def get(self, request: Request, job_id: str) -> Text:
        return log_of(Task.objects.filter(pk=_number(job_id)).first())


class SchedulesView(ApiView):
    actions = {"GET": "jobservice-monitor:list"}

    def get(self, request: Request) -> Paged[Scheduled]:
        rows = Schedule.objects.order_by("pk")
        return paged(request, rows, lambda found: [self._render(each) for each in found])

    def _render(self, schedule: Schedule) -> Scheduled:
        return {
            "id": schedule.pk,
            "vendor_type": schedule.vendor_type,
            "vendor_id": schedule.vendor_id,
            "cron": schedule.cron,
            "update_time": stamp(schedule.update_time),
        }


class SchedulesPausedView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request, job_type: str) -> Answer[Paused]:
        if job_type != ALL:
            raise BadRequest("job_type can only be 'all'")
        return Answer({"paused": dashboard.schedules_are_paused()})
