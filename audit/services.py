"""Writing the audit log; called by services, in the transaction of what they record, and never by views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from audit import switches, syslog
from audit.events import Operation, ResourceType
from audit.models import MAX_RESOURCE, AuditLog, Outgoing
from harborsite.db.prepared import Insert
from harborsite.principal import Principal


def record(
    *,
    actor: Principal | str,
    operation: Operation,
    resource_type: ResourceType,
    resource: str,
    project_id: int | None = None,
    successful: bool = True,
    data: Mapping[str, object] | None = None,
) -> None:
    """Add one row now, in the caller's transaction. `actor` may be a bare name where nobody is signed in.

    Nothing is added for an event type that is switched off.
    """
    wanted = switches.now()
    if f"{operation}_{resource_type}" in wanted.disabled:
        return
    values = {
        "username": name_of(actor),
        "operation": operation,
        "resource_type": resource_type,
        "resource": resource[:MAX_RESOURCE],
        "project_id": project_id,
        "successful": successful,
        "data": dict(data or {}),
        "op_time": timezone.now(),
    }
    if wanted.keep:
        _add(**values)
    if wanted.destination:
        _add_outgoing(message=syslog.message(AuditLog(**values)))


_add, _add_outgoing = Insert(AuditLog), Insert(Outgoing)


def name_of(actor: Principal | str) -> str:
    """The name under which `actor` is written down."""
    return actor if isinstance(actor, str) else actor.username


class Pull(NamedTuple):
    """One pull, as it is gathered; `resource` is `repository:tag` or `repository@digest`."""

    username: str
    resource: str
    digest: str
    project_id: int
    when: datetime


def record_pulls(pulls: Iterable[Pull]) -> None:
    """Add gathered pulls at once."""
    wanted = switches.now()
    if f"{Operation.PULL}_{ResourceType.ARTIFACT}" in wanted.disabled:
        return
    rows = [
        AuditLog(
            username=pull.username,
            operation=Operation.PULL,
            resource_type=ResourceType.ARTIFACT,
            resource=pull.resource[:MAX_RESOURCE],
            project_id=pull.project_id,
            data={"digest": pull.digest},
            op_time=pull.when,
        )
        for pull in pulls
    ]
    if wanted.keep:
        AuditLog.objects.bulk_create(rows)
    if wanted.destination:
        Outgoing.objects.bulk_create(Outgoing(message=syslog.message(row)) for row in rows)
