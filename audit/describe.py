"""One event as a sentence, in Harbor's words: for the API, whose readers are programs."""

from __future__ import annotations

from audit.events import Operation, ResourceType
from audit.models import AuditLog

_ARTIFACT_VERBS = {Operation.CREATE: "push", Operation.PULL: "pull", Operation.DELETE: "delete"}
_USER_CHANGES = {
    "password": ", change user password",
    "sysadmin": ", add user as system administrator",
    "no sysadmin": ", remove user as system administrator",
}


def description(row: AuditLog) -> str:
    """`push artifact: library/app@sha256:…` from the row's plain values."""
    match row.resource_type:
        case ResourceType.USER if row.operation in {Operation.LOGIN, Operation.LOGOUT}:
            return row.operation
        case ResourceType.USER:
            change = _USER_CHANGES.get(str(row.data.get("change", "")), "")
            return f"{row.operation} user with name: {row.resource}{change}"
        case ResourceType.ARTIFACT:
            verb = _ARTIFACT_VERBS.get(Operation(row.operation), row.operation)
            digest = row.data.get("digest")
            name = row.resource.partition("@")[0]
            where = f"{name.rpartition(':')[0] or name}@{digest}" if digest else row.resource
            return f"{verb} artifact: {where}"
        case ResourceType.MEMBER:
            kind = "group" if row.data.get("entity_type") == "g" else "user"
            place = "from" if row.operation == Operation.DELETE else "in"
            return f"{row.operation} {kind} member {row.resource} {place} project {row.data.get('project', '')}"
        case ResourceType.CONFIGURATION:
            return f"{row.operation} configuration"
        case _:
            return f"{row.operation} {row.resource_type}: {row.resource}"
