"""What happens in the registry starts the event based policies that mean it; how that goes is told to webhooks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from harborsite.db.prepared import prepared_models
from harborsite.errors import AppError
from harborsite.jobs import signals as job_signals
from harborsite.jobs.models import Status, Trigger
from registry import signals
from registry.signals import Gone
from replication.filters import Candidate, Filters
from replication.models import VENDOR_TYPE, ReplicationPolicy
from replication.services import executions, telling
from replication.services.planning import COPY, DELETION, TAG_DELETION

logger = logging.getLogger("replication")


def connect() -> None:
    """Listen to the registry and to the job engine; called once, when the app is ready."""
    job_signals.task_changed.connect(_task_changed, dispatch_uid="replication.task_changed")
    signals.artifact_pushed.connect(_pushed, dispatch_uid="replication.pushed")
    signals.tag_created.connect(_tagged, dispatch_uid="replication.tagged")
    signals.artifacts_deleted.connect(_deleted, dispatch_uid="replication.deleted")
    signals.tag_deleted.connect(_untagged, dispatch_uid="replication.untagged")


def _task_changed(*, task_id: int, vendor_type: str, status: Status, **_: Any) -> None:
    if vendor_type == VENDOR_TYPE:
        telling.tell(task_id=task_id, status=status)


def _pushed(*, repository: str, digest: str, tags: tuple[str, ...], **_: Any) -> None:
    _start(COPY, repository, [Candidate(digest, tags)])


def _tagged(*, repository: str, digest: str, tag: str, **_: Any) -> None:
    _start(COPY, repository, [Candidate(digest, (tag,))])


def _deleted(*, repository: str, artifacts: Sequence[Gone], **_: Any) -> None:
    """In the transaction that deletes them: the executions are there with it or not at all."""
    _start(DELETION, repository, [Candidate(each.digest, each.tags) for each in artifacts])


def _untagged(*, repository: str, digest: str, tag: str, **_: Any) -> None:
    _start(TAG_DELETION, repository, [Candidate(digest, (tag,))])


def _start(operation: str, repository: str, artifacts: Sequence[Candidate]) -> None:
    """One query where no policy waits for events. The plan of an accessory, pushed without a tag, finds its subject."""
    for policy in _waiting():
        if operation != COPY and not policy.replicate_deletion:
            continue
        filters = Filters(policy.filters)
        meant = [each for each in artifacts if not each.tags or any(map(filters.means_tag, each.tags))]
        if not meant or not filters.means_repository(repository):
            continue
        event = {
            "operation": operation,
            "repository": repository,
            "artifacts": [{"digest": each.digest, "tags": list(each.tags)} for each in meant],
        }
        try:
            executions.start(policy=policy, trigger=Trigger.EVENT, event=event)
        except AppError:
            logger.exception("policy not started", extra={"policy": policy.name})


@prepared_models
def _waiting() -> QuerySet[ReplicationPolicy]:
    return ReplicationPolicy.objects.filter(
        trigger=ReplicationPolicy.Trigger.EVENT_BASED, enabled=True, src_registry=None
    )
