"""Saying that a push was refused for want of quota: after the refusal, for what it had begun is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from audit import services as audit
from projects.errors import QuotaExceeded
from projects.models import Project
from registry import signals
from registry.oci.digest import Digest

P = ParamSpec("P")
R = TypeVar("R")


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Announce `quota_exceeded` where the service raises QuotaExceeded, with what its keywords say about the push."""

    @wraps(function)
    def telling(*args: P.args, **given: P.kwargs) -> R:
        try:
            return function(*args, **given)
        except QuotaExceeded as error:
            _announce(error.message, given)
            raise

    return telling


def _announce(message: str, given: dict[str, Any]) -> None:
    project: Project = given["project"]
    upload, reference = given.get("upload"), given.get("reference")
    digest = reference if isinstance(reference, Digest) else given.get("digest", "")
    actor = given.get("actor") or (upload.username if upload else "")
    signals.quota_exceeded.send_robust(
        sender=Project,
        project_id=project.pk,
        repository=upload.repository_name if upload else given["repository_name"],
        digest=str(digest),
        tag="" if isinstance(reference, Digest) or reference is None else reference,
        username=audit.name_of(actor),
        message=message,
    )
