"""Executions of replication policies, their tasks and logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from django.db.models import Count
from rest_framework.request import Request

from harborsite.api import body, parameters, query
from harborsite.api.answers import Answer, Created, Done, Paged, Text, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_number, to_time
from harborsite.api.wire import stamp
from harborsite.errors import BadRequest, NotFound
from harborsite.jobs.models import Execution, Status, Task, Trigger
from projects.api.base import ApiView
from replication.api.policies import find as find_policy
from replication.models import VENDOR_TYPE
from replication.services import executions
from replication.services.executions import TRIGGER_NAMES

STATUS_NAMES: Mapping[str, str] = {
    Status.PENDING: "Pending",
    Status.RUNNING: "InProgress",
    Status.SUCCESS: "Succeed",
    Status.ERROR: "Failed",
    Status.STOPPED: "Stopped",
}
EXECUTION_COLUMNS = {
    "id": Column("pk", to_number),
    "start_time": Column("start_time", to_time),
    "end_time": Column("end_time", to_time),
    "status": Column("status"),
    "trigger": Column("trigger"),
}
TASK_COLUMNS = {
    "id": Column("pk", to_number),
    "start_time": Column("start_time", to_time),
    "end_time": Column("end_time", to_time),
    "status": Column("status"),
}


@dataclass(frozen=True, slots=True)
class StartRequest:
    policy_id: int = 0


class ShownExecution(TypedDict):
    id: int
    policy_id: int
    status: str
    status_text: str
    trigger: str
    start_time: Time
    end_time: Time
    total: int
    succeed: int
    failed: int
    in_progress: int
    stopped: int


class ShownTask(TypedDict):
    id: int
    execution_id: int
    status: str
    job_id: str
    operation: str
    resource_type: str
    src_resource: str
    dst_resource: str
    start_time: Time
    end_time: Time


def render_executions(rows: Sequence[Execution]) -> list[ShownExecution]:
    """With the counts of their tasks, in one query for all."""
    counted = Task.objects.filter(execution__in=[row.pk for row in rows]).order_by()
    counts: dict[int, Counter[str]] = {row.pk: Counter() for row in rows}
    for execution, status, number in counted.values_list("execution_id", "status").annotate(Count("pk")):
        counts[execution][status] = number
    return [_render_execution(row, counts[row.pk]) for row in rows]


def _render_execution(execution: Execution, counts: Counter[str]) -> ShownExecution:
    return {
        "id": execution.pk,
        "policy_id": execution.vendor_id,
        "status": STATUS_NAMES[execution.status],
        "status_text": execution.status_message,
        "trigger": TRIGGER_NAMES[execution.trigger],
        "start_time": stamp(execution.start_time),
        "end_time": stamp(execution.end_time),
        "total": counts.total(),
        "succeed": counts[Status.SUCCESS],
        "failed": counts[Status.ERROR],
        "in_progress": counts[Status.PENDING] + counts[Status.RUNNING],
        "stopped": counts[Status.STOPPED],
    }


def render_task(task: Task) -> ShownTask:
    return {
        "id": task.pk,
        "execution_id": task.execution_id,
        "status": STATUS_NAMES[task.status],
        "job_id": str(task.pk),
        "operation": task.extra_attrs.get("operation", ""),
        "resource_type": task.extra_attrs.get("resource_type", ""),
        "src_resource": task.extra_attrs.get("src_resource", ""),
        "dst_resource": task.extra_attrs.get("dst_resource", ""),
        "start_time": stamp(task.start_time),
        "end_time": stamp(task.end_time),
    }


def named(names: Mapping[str, str], given: str) -> list[str]:
    """The inner words for an outer one; none for an unknown one, which nothing matches."""
    return [inner for inner, outer in names.items() if outer.lower() == given.lower()]


class ExecutionBase(ApiView):
    def execution(self) -> Execution:
        """Only among those of replication, whatever the number says."""
        given = self.kwargs["id"]
        execution = Execution.objects.filter(vendor_type=VENDOR_TYPE, pk=given).first()
        if execution is None:
            raise NotFound(f"replication execution {given} not found")
        return execution


class ExecutionsView(ApiView):
    actions = {"GET": "replication:list", "POST": "replication:create"}

    def get(self, request: Request) -> Paged[ShownExecution]:
        rows = Execution.objects.filter(vendor_type=VENDOR_TYPE)
        if (policy := parameters.number(request, "policy_id")) is not None:
            rows = rows.filter(vendor_id=policy)
        if status := request.GET.get("status"):
            rows = rows.filter(status__in=named(STATUS_NAMES, status))
        if trigger := request.GET.get("trigger"):
            rows = rows.filter(trigger__in=named(TRIGGER_NAMES, trigger))
        rows = query.ordered(rows, request.GET.get("sort", ""), EXECUTION_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, render_executions)

    def post(self, request: Request) -> Created:
        policy = find_policy(body.read(request, StartRequest).policy_id)
        trigger = request.GET.get("trigger", "manual")
        if trigger not in {"manual", "scheduled"}:
            raise BadRequest(f"invalid trigger: {trigger[:32]}")
        kind = Trigger.SCHEDULE if trigger == "scheduled" else Trigger.MANUAL
        execution = executions.start(policy=policy, trigger=kind, operator=self.who.username)
        return Created(f"/api/v2.0/replication/executions/{execution.pk}")


class ExecutionView(ExecutionBase):
    actions = {"GET": "replication:read", "PUT": "replication:create"}

    def get(self, request: Request, id: int) -> Answer[ShownExecution]:
        return Answer(render_executions([self.execution()])[0])

    def put(self, request: Request, id: int) -> Done:
        """Stop it."""
        executions.stop(execution=self.execution(), actor=self.who)
        return Done()


class TasksView(ExecutionBase):
    actions = {"GET": "replication:list"}

    def get(self, request: Request, id: int) -> Paged[ShownTask]:
        rows = Task.objects.filter(execution=self.execution())
        if status := request.GET.get("status"):
            rows = rows.filter(status__in=named(STATUS_NAMES, status))
        if resource_type := request.GET.get("resource_type"):
            rows = rows.filter(extra_attrs__resource_type=resource_type)
        rows = query.ordered(rows, request.GET.get("sort", ""), TASK_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [render_task(task) for task in found])


class TaskLogView(ExecutionBase):
    actions = {"GET": "replication:read"}

    def get(self, request: Request, id: int, task_id: int) -> Text:
        task = Task.objects.filter(execution=self.execution(), pk=task_id).first()
        if task is None:
            raise NotFound(f"replication task {task_id} not found")
        return Text("".join(part.text for part in task.log_parts.all()))
