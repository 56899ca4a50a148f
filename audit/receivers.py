"""Writing down who steers jobs, in the transaction in which it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit import services
from audit.events import Operation, ResourceType
from harborsite.jobs import kinds, signals
from harborsite.jobs.signals import Action
from harborsite.principal import Principal

_TYPES: Mapping[str, ResourceType] = {
    kinds.GARBAGE_COLLECTION: ResourceType.GARBAGE_COLLECTION,
    kinds.PURGE_AUDIT_LOG: ResourceType.PURGE,
    kinds.CHECK_STORAGE: ResourceType.STORAGE_CHECK,
    kinds.REPLICATION: ResourceType.REPLICATION,
    kinds.RETENTION: ResourceType.RETENTION,
}


def connect() -> None:
    signals.steered.connect(_steered, dispatch_uid="audit.receivers")


def _steered(
    *, actor: Principal | str, action: Action, vendor_type: str, data: Mapping[str, int | str], **_: Any
) -> None:
    """An execution by its number, one of its tasks by both, a schedule by its cron, a queue by its kind."""
    if "schedule" in data:
        kind, resource = _TYPES.get(vendor_type, ResourceType.JOB), f"schedule {data['schedule']}"
    elif "execution" not in data:
        kind, resource = ResourceType.QUEUE, vendor_type
    else:
        kind, resource = _TYPES.get(vendor_type, ResourceType.JOB), f"execution {data['execution']}"
        if "task" in data:
            resource += f", task {data['task']}"
    services.record(
        actor=actor,
        operation=Operation(action),
        resource_type=kind,
        resource=resource,
        data={"vendor_type": vendor_type, **data},
    )
