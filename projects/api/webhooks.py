"""Webhook policies of a project, and their deliveries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import Max
from django.db.models.fields.json import KT
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api import body, parameters, query
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import stamp, stamp_seconds, without_empty
from harborsite.errors import NotFound
from harborsite.jobs.kinds import SLACK, WEBHOOK
from harborsite.jobs.models import Execution, Task
from projects.api.base import ProjectView, created
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


def render(policy: WebhookPolicy) -> dict[str, Any]:
    shape = {
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


def render_execution(execution: Execution) -> dict[str, Any]:
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


def render_task(task: Task) -> dict[str, Any]:
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

    def get(self, request: Request, project_name_or_id: str) -> Response:
        rows = WebhookPolicy.objects.filter(project=self.project)
        found = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        found = query.ordered(found, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
        return paged(request, found, lambda some: [render(policy) for policy in some])

    def post(self, request: Request, project_name_or_id: str) -> Response:
        new = body.read(request, PolicyShape)
        policy = policies.create_policy(project=self.project, actor=self.who, **new.arguments())
        return created(f"/api/v2.0/projects/{project_name_or_id}/webhook/policies/{policy.pk}")


class WebhookPolicyView(WebhookBase):
    actions = {
        "GET": "notification-policy:read",
        "PUT": "notification-policy:update",
        "DELETE": "notification-policy:delete",
    }

    def get(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Response:
        return Response(render(self.policy(webhook_policy_id)))

    def put(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Response:
        policy, new = self.policy(webhook_policy_id), body.read(request, PolicyShape)
        policies.update_policy(policy=policy, actor=self.who, **new.arguments())
        return Response()

    def delete(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Response:
        policies.delete_policy(policy=self.policy(webhook_policy_id), actor=self.who)
        return Response()


class WebhookExecutionsView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str, webhook_policy_id: int) -> Response:
        rows = policies.executions(self.policy(webhook_policy_id))
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), EXECUTION_COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), EXECUTION_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [render_execution(each) for each in found])


class WebhookTasksView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str, webhook_policy_id: int, execution_id: int) -> Response:
        rows = Task.objects.filter(execution=self.execution(webhook_policy_id, execution_id))
        return paged(request, rows.order_by("-start_time", "-pk"), lambda found: [render_task(each) for each in found])


class WebhookTaskLogView(WebhookBase):
    actions = {"GET": "notification-policy:read"}

    def get(
        self, request: Request, project_name_or_id: str, webhook_policy_id: int, execution_id: int, task_id: int
    ) -> HttpResponse:
        rows = Task.objects.filter(execution=self.execution(webhook_policy_id, execution_id))
        task = rows.filter(pk=task_id).first()
        if task is None:
            raise NotFound(f"task {task_id} not found")
        return HttpResponse("".join(part.text for part in task.log_parts.all()), content_type="text/plain")


class LastTriggerView(WebhookBase):
    """When each event of each policy was told last."""

    actions = {"GET": "notification-policy:read"}

    def get(self, request: Request, project_name_or_id: str) -> Response:
        found = list(WebhookPolicy.objects.filter(project=self.project))
        rows = Execution.objects.filter(
            vendor_type__in=[WEBHOOK, SLACK], vendor_id__in=[policy.pk for policy in found]
        ).order_by()
        named = rows.annotate(event=KT("extra_attrs__event_type"))
        grouped = named.values_list("vendor_id", "event").annotate(last=Max("start_time"))
        last = {(policy_id, event): when for policy_id, event, when in grouped}
        return Response(
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

    def get(self, request: Request, project_name_or_id: str) -> Response:
        parameters.required(request, "policy_id")
        rows = policies.executions(self.policy(parameters.number(request, "policy_id", 0)))
        if wanted := request.GET.getlist("status"):
            rows = rows.filter(status__in=wanted)
        rows = query.ordered(rows, request.GET.get("sort", ""), EXECUTION_COLUMNS, ("-start_time", "-pk"))
        return paged(request, rows, lambda found: [self._render(each) for each in found])

    def _render(self, execution: Execution) -> dict[str, Any]:
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

    def get(self, request: Request, project_name_or_id: str) -> Response:
        return Response(
            {
                "event_type": list(Event.values),
                "notify_type": list(policies.TYPES),
                "payload_formats": [{"notify_type": "http", "formats": list(policies.FORMATS)}],
            }
        )
