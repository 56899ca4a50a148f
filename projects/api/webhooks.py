"""Webhook policies of a project, and their deliveries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired, TypedDict

from django.db.models import Max
from django.db.models.fields.json import KT
from rest_framework.request import Request

from harborsite.api import body, parameters, query
from harborsite.api.answers import Answer, Created, Done, Paged, Text, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import stamp, stamp_seconds, without_empty
from harborsite.errors import NotFound
from harborsite.jobs.kinds import SLACK, WEBHOOK
from harborsite.jobs.models import Execution, Task
from projects.api.base import ProjectView
from projects.models import WebhookPolicy
from projects.webhooks import Event, policies

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "description": Column("description"),
    "enabled": Column("enabled", to_flag),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}
TASK_COLUMNS = {
    "id": Column("pk", to_number),
    "status": Column("status"),
    "creation_time": Column("creation_time", to_time),
    "start_time": Column("start_time", to_time),
    "update_time": Column("update_time", to_time),
    "end_time": Column("end_time", to_time),
}
EXECUTION_COLUMNS = {
    "id": Column("pk", to_number),
    "status": Column("status"),
    "vendor_type": Column("vendor_type"),
    "start_time": Column("start_time", to_time),
    "end_time": Column("end_time", to_time),
}


@dataclass(frozen=True, slots=True)
class TargetShape:
    type: str = ""
    address: str = ""
    auth_header: str = ""
    skip_cert_verify: bool = False
    payload_format: str = ""


@dataclass(frozen=True, slots=True)
class PolicyShape:
    name: str = ""
    description: str = ""
    enabled: bool = False
    event_types: list[str] = field(default_factory=list)
    targets: list[TargetShape] = field(default_factory=list)

    def arguments(self) -> dict[str, Any]:
        return asdict(self)


class ShownTarget(TypedDict):
    type: str
    address: str
    auth_header: NotRequired[str]
    skip_cert_verify: NotRequired[bool]
    payload_format: NotRequired[str]


class ShownPolicy(TypedDict):
    id: int
    name: str
    description: NotRequired[str]
    project_id: int
    enabled: bool
    event_types: list[str]
    targets: list[ShownTarget]
    creator: NotRequired[str]
    creation_time: Time
    update_time: Time


class ShownExecution(TypedDict):
    """Its extra attributes are the event and what is sent of it."""

    id: int
    vendor_type: str
    vendor_id: int
    status: str
    status_message: str
    trigger: str
    extra_attrs: dict[str, Any]
    start_time: Time
    end_time: Time


class ShownTask(TypedDict):
    id: int
    execution_id: int
    status: str
    status_message: str
    run_count: int
    extra_attrs: dict[str, Any]
    creation_time: Time
    start_time: Time
    update_time: Time
    end_time: Time


class LastTrigger(TypedDict):
    policy_name: str
    event_type: str
    enabled: bool
    creation_time: Time
    last_trigger_time: Time


class Delivery(TypedDict):
    id: int
    policy_id: int
    event_type: str
    notify_type: str
    status: str
    job_detail: str
    creation_time: Time
    update_time: Time


class Formats(TypedDict):
    notify_type: str
    formats: list[str]


class Choices(TypedDict):
    event_type: list[str]
    notify_type: list[str]
    payload_formats: list[Formats]


def render(policy: WebhookPolicy) -> ShownPolicy:
    shape: ShownPolicy = {
        "id": policy.pk,
        "name": policy.name,
        "description": policy.description,
        "project_id": policy.project_id,
        "enabled": policy.enabled,
        "event_types": policy.event_types,
        "targets": policy.targets,
        "creator": policy.creator,
        "creation_time": stamp(policy.creation_time),
        "update_time": stamp(policy.update_time),
    }
    return without_empty(shape, "description", "creator")


def render_execution(execution: Execution) -> ShownExecution:
    return {
        "id": execution.pk,
        "vendor_type": execution.vendor_type,
        "vendor_id": execution.vendor_id,
        "status": execution.status,
        "status_message": execution.status_message,
        "trigger": execution.trigger,
        "extra_attrs": {key: execution.extra_attrs.get(key) for key in ("event_type", "payload")},
        "start_time": stamp_seconds(execution.start_time),
        "end_time": stamp_seconds(execution.end_time),
    }


def render_task(task: Task) -> ShownTask:
    return {
        "id": task.pk,
        "execution_id": task.execution_id,
        "status": task.status,
        "status_message": task.status_message,
        "run_count": task.run_count,
        "extra_attrs": {},
        "creation_time": stamp_seconds(task.creation_time),
        "start_time": stamp_seconds(task.start_time),
        "update_time": stamp_seconds(task.update_time),
        "end_time": stamp_seconds(task.end_time),
    }


class WebhookBase(ProjectView):
    """What is below a policy is looked for among that policy's, and the policy among the project's."""

    def policy(self, policy_id: int) -> WebhookPolicy:
        policy = WebhookPolicy.objects.filter(project=self.project, pk=policy_id).first()
        if policy is None:
            raise NotFound(f"notificationPolicy {policy_id} not found")
        return policy

    def execution(self, policy_id: int, execution_id: int) -> Execution:
        execution: Execution | None = policies.executions(self.policy(policy_id)).filter(pk=execution_id).first()
        if execution is None:
            raise NotFound(f"execution {execution_id} not found")
        return execution


class WebhookPoliciesView(WebhookBase):
    actions = {"GET": "notification-policy:list", "POST": "notification-policy:create"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownPolicy]:
        rows = WebhookPolicy.objects.filter(project=self.project)
        found = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        found = query.ordered(found, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
        return paged(request, found, lambda some: [render(policy) for policy in some])

    def post(self, request: Request, project_name_or_id: str) -> Created:
        new = body.read(request, PolicyShape)
        policy = policies.create_policy(project=self.project, actor=self.who, **new.arguments())
        return Created(f"/api/v2.0/projects/{project_name_or_id}/webhook/policies/{policy.pk}")


class WebhookPolicyView(WebhookBase):
    actions = {
        "GET": "notification-policy:read",
        "PUT": "notification-policy:update",
        "DELETE": "notification-policy:delete",
    }

    def get(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Answer[ShownPolicy]:
        return Answer(render(self.policy(webhook_policy_id)))

    def put(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Done:
        policy, new = self.policy(webhook_policy_id), body.read(request, PolicyShape)
        policies.update_policy(policy=policy, actor=self.who, **new.arguments())
        return Done()

    def delete(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Done:
        policies.delete_policy(policy=self.policy(webhook_policy_id), actor=self.who)
        return Done()


class WebhookExecutionsView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Paged[ShownExecution]:
        rows = policies.executions(self.policy(webhook_policy_id))
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), EXECUTION_COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), EXECUTION_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [render_execution(each) for each in found])


class WebhookTasksView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(
        self, request: Request, project_name_or_id: str, webhook_policy_id: int, execution_id: int
    ) -> Paged[ShownTask]:
        rows = Task.objects.filter(execution=self.execution(webhook_policy_id, execution_id))
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), TASK_COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), TASK_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [render_task(each) for each in found])


class WebhookTaskLogView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(
        self, request: Request, project_name_or_id: str, webhook_policy_id: int, execution_id: int, task_id: int
    ) -> Text:
        rows = Task.objects.filter(execution=self.execution(webhook_policy_id, execution_id))
        task = rows.filter(pk=task_id).first()
        if task is None:
            raise NotFound(f"task {task_id} not found")
        return Text("".join(part.text for part in task.log_parts.all()))


class LastTriggerView(WebhookBase):
    """When each event of each policy was told last."""

    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[list[LastTrigger]]:
        found = list(WebhookPolicy.objects.filter(project=self.project))
        rows = Execution.objects.filter(
            vendor_type__in=[WEBHOOK, SLACK], vendor_id__in=[policy.pk for policy in found]
        ).order_by()
        named = rows.annotate(event=KT("extra_attrs__event_type"))
        grouped = named.values_list("vendor_id", "event").annotate(last=Max("start_time"))
        last = {(policy_id, event): when for policy_id, event, when in grouped}
        return Answer(
            [
                {
                    "policy_name": policy.name,
                    "event_type": event,
                    "enabled": policy.enabled,
                    "creation_time": stamp(policy.creation_time),
                    "last_trigger_time": stamp(last.get((policy.pk, event))),
                }
                for policy in found
                for event in policy.event_types
            ]
        )


class WebhookJobsView(WebhookBase):
    """The deliveries of one policy, as old clients ask for them."""

    actions = {"GET": "notification-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[Delivery]:
        parameters.required(request, "policy_id")
        rows = policies.executions(self.policy(parameters.number(request, "policy_id", 0)))
        if wanted := request.GET.getlist("status"):
            rows = rows.filter(status__in=wanted)
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), EXECUTION_COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), EXECUTION_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [self._render(each) for each in found])

    def _render(self, execution: Execution) -> Delivery:
        return {
            "id": execution.pk,
            "policy_id": execution.vendor_id,
            "event_type": execution.extra_attrs.get("event_type", ""),
            "notify_type": "slack" if execution.vendor_type == SLACK else "http",
            "status": execution.status,
            "job_detail": execution.extra_attrs.get("payload", ""),
            "creation_time": stamp(execution.start_time),
            "update_time": stamp(execution.update_time),
        }


class WebhookEventsView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[Choices]:
        return Answer(
            {
                "event_type": list(Event.values),
                "notify_type": list(policies.TYPES),
                "payload_formats": [{"notify_type": "http", "formats": list(policies.FORMATS)}],
            }
        )
