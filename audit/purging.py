"""Removing what is old from the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit.events import EVENT_TYPES
from audit.models import AuditLog

MAX_HOURS = 240_000
OTHER = "other"  # every event but those of artifacts
OF_ARTIFACTS = ("create_artifact", "delete_artifact", "pull_artifact")
_BATCH = 1000


def purge(*, hours: int, events: Sequence[str], dry_run: bool, check_stop: Callable[[], None]) -> int:
    """Remove rows of these events that are older, in short transactions; returns how many there were.

    Names that are not known are ignored; with 0 hours or fewer nothing is old.
    """
    wanted = {event for event in events if event in EVENT_TYPES}
    if OTHER in events:
        wanted |= set(EVENT_TYPES) - set(OF_ARTIFACTS)
    if hours <= 0 or not wanted:
        return 0
    condition = Q()
    for event in sorted(wanted):
        operation, _, resource_type = event.partition("_")
        condition |= Q(operation=operation, resource_type=resource_type)
    rows = AuditLog.objects.filter(condition, op_time__lt=timezone.now() - timedelta(hours=hours))
    if dry_run:
        return rows.count()
    removed = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        check_stop()
        with transaction.atomic():
            removed += AuditLog.objects.filter(pk__in=keys).delete()[0]
    return removed
