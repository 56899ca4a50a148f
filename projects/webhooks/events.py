"""What can be told, and handing an event to every policy that wants it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import QuerySet
from django.utils import timezone

from harborsite.db.prepared import Row, prepared
from harborsite.jobs import engine
from harborsite.jobs.kinds import SLACK, WEBHOOK
from harborsite.jobs.models import Execution, Trigger
from projects import params
from projects.models import WebhookPolicy
from projects.webhooks import payloads

_FRESH_SECONDS = 5.0


class Event(models.TextChoices):
    """Harbor's names, in the order in which it lists them; those of scanning may be chosen, and never happen here."""

    PUSH_ARTIFACT = "PUSH_ARTIFACT"
    PULL_ARTIFACT = "PULL_ARTIFACT"
    DELETE_ARTIFACT = "DELETE_ARTIFACT"
    QUOTA_EXCEED = "QUOTA_EXCEED"
    QUOTA_WARNING = "QUOTA_WARNING"
    SCANNING_FAILED = "SCANNING_FAILED"
    SCANNING_STOPPED = "SCANNING_STOPPED"
    SCANNING_COMPLETED = "SCANNING_COMPLETED"
    REPLICATION = "REPLICATION"
    TAG_RETENTION = "TAG_RETENTION"


_wanted: dict[str, frozenset[int]] = {}
_read_at = float("-inf")


def is_wanted(event: Event, project_id: int) -> bool:
    """Whether anybody wants to know. For pulls, of which there are many, it is up to 5 s old and costs nothing."""
    if event != Event.PULL_ARTIFACT:
        return any(event in wanted for (wanted,) in _event_types(project_id))
    global _wanted, _read_at
    if time.monotonic() - _read_at > _FRESH_SECONDS:
        found: dict[str, set[int]] = {}
        for project, events in WebhookPolicy.objects.filter(enabled=True).values_list("project_id", "event_types"):
            for name in events:
                found.setdefault(name, set()).add(project)
        _wanted = {name: frozenset(projects) for name, projects in found.items()}
        _read_at = time.monotonic()
    return project_id in _wanted.get(event, ())


@prepared
def _event_types(project: int) -> QuerySet[WebhookPolicy, Row]:
    return WebhookPolicy.objects.order_by().filter(project=project, enabled=True).values_list("event_types")


def forget() -> None:
    """Look again at the next event."""
    global _read_at
    _read_at = float("-inf")


def notify(*, event: Event, project_id: int, operator: str, data: Mapping[str, Any]) -> None:
    """Start one delivery for each target of each policy that wants the event."""
    if not params.get(params.NOTIFICATION_ENABLE):
        return
    with transaction.atomic():
        for policy in wanting(event, project_id):
            tell(policy=policy, event=event, operator=operator, data=data)


def wanting(event: Event, project_id: int) -> list[WebhookPolicy]:
    """The project's policies that are to be told of it."""
    policies = WebhookPolicy.objects.filter(project=project_id, enabled=True).order_by("pk")
    return [policy for policy in policies if event in policy.event_types]


def tell(
    *,
    policy: WebhookPolicy,
    event: Event,
    operator: str,
    data: Mapping[str, Any],
    trigger: Trigger = Trigger.EVENT,
    moment: datetime | None = None,
) -> list[Execution]:
    """Start one delivery for each target of this policy; `moment` is when it happened, if that was not now."""
    moment = moment or timezone.now()
    deliveries = []
    for target in policy.targets:
        payload = payloads.build(policy=policy, target=target, event=event, operator=operator, data=data, moment=moment)
        delivery = engine.start(
            vendor_type=SLACK if target["type"] == "slack" else WEBHOOK,
            vendor_id=policy.pk,
            trigger=trigger,
            extra_attrs={"event_type": event, "payload": payload, "address": target["address"]},
        )
        deliveries.append(delivery)
    return deliveries
