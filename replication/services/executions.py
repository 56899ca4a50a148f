"""Starting and stopping the executions of a policy."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _

from harborsite.jobs import engine
from harborsite.jobs.models import Execution, Trigger
from replication.errors import PolicyDisabled
from replication.models import VENDOR_TYPE, ReplicationPolicy


def start(
    *, policy: ReplicationPolicy, trigger: Trigger = Trigger.MANUAL, event: Mapping[str, object] | None = None
) -> Execution:
    """Begin an execution of an enabled policy; `event` narrows it to what has just happened."""
    if not policy.enabled:
        raise PolicyDisabled(_("the policy {id} is disabled").format(id=policy.pk))
    return engine.start(
        vendor_type=VENDOR_TYPE,
        vendor_id=policy.pk,
        trigger=trigger,
        extra_attrs={"event": dict(event)} if event else None,
    )


def stop(*, execution: Execution) -> None:
    engine.stop(execution=execution)
