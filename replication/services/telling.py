"""Telling the webhooks of the local project how a task of replication goes."""

from __future__ import annotations

from typing import Any

from harborsite.config import current
from harborsite.jobs.models import Status, Task
from projects.models import Project
from projects.webhooks import Event, notify
from projects.webhooks.events import is_wanted
from replication.models import ReplicationPolicy
from replication.services.executions import TRIGGER_NAMES


def tell(*, task_id: int, status: Status) -> None:
    """One event, where somebody of the project that is read or written here wants it."""
    task = Task.objects.select_related("execution").filter(pk=task_id).first()
    policies = ReplicationPolicy.objects.select_related("src_registry", "dest_registry")
    policy = policies.filter(pk=task.execution.vendor_id).first() if task else None
    if task is None or policy is None:
        return
    attrs: Any = task.extra_attrs
    source, target = str(attrs["src_resource"]).partition(" ")[0], str(attrs["dst_repository"])
    namespace = (source if policy.is_push else target).partition("/")[0]
    project_id = Project.objects.filter(name=namespace).values_list("pk", flat=True).first()
    if project_id is not None and is_wanted(Event.REPLICATION, project_id):
        operator = str(task.execution.extra_attrs.get("operator", policy.creator))
        data = {"replication": _shape(task, policy, status, source, target)}
        notify(event=Event.REPLICATION, project_id=project_id, operator=operator, data=data)


def _shape(task: Task, policy: ReplicationPolicy, status: Status, source: str, target: str) -> dict[str, Any]:
    attrs: Any = task.extra_attrs
    shape: dict[str, Any] = {
        "harbor_hostname": current().registry_host,
        "job_status": status,
        "description": policy.description,
        "artifact_type": attrs["resource_type"],
        "authentication_type": policy.remote.credential_type,
        "override_mode": policy.override,
        "trigger_type": TRIGGER_NAMES[task.execution.trigger],
        "policy_creator": policy.creator,
        "execution_timestamp": int(task.execution.start_time.timestamp()),
        "src_resource": _side(policy, source, is_local=policy.is_push),
        "dest_resource": _side(policy, target, is_local=not policy.is_push),
        "execution_id": task.execution_id,
        "task_id": task.pk,
    }
    lists = {Status.SUCCESS: "successful_artifact", Status.ERROR: "failed_artifact"}
    if name := lists.get(status):
        shape[name] = [
            {
                "type": attrs["resource_type"],
                "status": status,
                "name_tag": str(attrs["src_resource"]).partition("/")[2],
                "references": _references(attrs),
            }
        ]
    return shape


def _side(policy: ReplicationPolicy, repository: str, *, is_local: bool) -> dict[str, str]:
    if is_local:
        namespace = repository.partition("/")[0]
        return {"registry_type": "harbor", "endpoint": current().external_url, "namespace": namespace}
    remote = policy.remote
    return {
        "registry_name": remote.name,
        "registry_type": remote.type,
        "endpoint": remote.url,
        "namespace": repository.rpartition("/")[0],
    }


def _references(attrs: Any) -> list[str]:
    """The tags, and the digests of what has none."""
    return [name for each in attrs["artifacts"] for name in each["tags"] or [each["digest"]]]
