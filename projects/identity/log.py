"""Who came and went: a row in the audit log for every session, and for every try that failed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from audit import services as audit
from audit.events import Operation, ResourceType
from projects.models import User

_MAX_NAME = 255


def connect() -> None:
    """Listen to Django's own signals, which the portal's form and `/c/login` both send."""
    user_logged_in.connect(_came, dispatch_uid="projects.identity.log")
    user_logged_out.connect(_went, dispatch_uid="projects.identity.log")
    user_login_failed.connect(_failed, dispatch_uid="projects.identity.log")


def _came(user: User, **kwargs: Any) -> None:
    _record(user.username, Operation.LOGIN)


def _went(user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _record(user.username, Operation.LOGOUT)


def _failed(credentials: dict[str, Any], **kwargs: Any) -> None:
    _record(str(credentials.get("username", ""))[:_MAX_NAME], Operation.LOGIN, successful=False)


def _record(username: str, operation: Operation, *, successful: bool = True) -> None:
    audit.record(
        actor=username,
        operation=operation,
        resource_type=ResourceType.USER,
        resource=username,
        successful=successful,
    )
