"""Starting and stopping the executions of a policy, and trying one of their tasks again."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _

from harborsite.jobs import engine
from harborsite.jobs.models import Execution, Task, Trigger
from harborsite.principal import Principal
from replication.errors import PolicyDisabled
from replication.models import VENDOR_TYPE, ReplicationPolicy
from replication.services.planning import policy_of

TRIGGER_NAMES: Mapping[str, str] = {
    Trigger.MANUAL: "manual",
    Trigger.SCHEDULE: "scheduled",
    Trigger.EVENT: "event_based",
}


def start(
    *,
    policy: ReplicationPolicy,
    trigger: Trigger = Trigger.MANUAL,
    event: Mapping[str, object] | None = None,
    operator: str = "",
) -> Execution:
    """Begin an execution of an enabled policy; `event` narrows it to what has just happened.

    `operator` is who asked for it; else it is the policy's creator in what webhooks are told.
    """
    _require_enabled(policy)
    attrs: dict[str, object] = {"event": dict(event)} if event else {}
    if operator:
        attrs["operator"] = operator
    return engine.start(
        vendor_type=VENDOR_TYPE,
        vendor_id=policy.pk,
        trigger=trigger,
        extra_attrs=attrs,
        actor=operator or None,
    )


def stop(*, execution: Execution, actor: Principal | str) -> None:
    engine.stop(execution=execution, actor=actor)


def retry_task(*, task: Task, actor: Principal | str) -> None:
    """Copy one repository again whose task failed or was stopped; what the target has by now is not sent again."""
    _require_enabled(policy_of(task.execution))
    engine.retry(task=task, actor=actor)


def _require_enabled(policy: ReplicationPolicy) -> None:
    if not policy.enabled:
        raise PolicyDisabled(_("the policy {id} is disabled").format(id=policy.pk))
