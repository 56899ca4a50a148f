"""Removing what is old from the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import BooleanField, Case, Max, Min, Q, When
from django.utils import timezone

from audit.events import EVENT_TYPES
from audit.models import AuditLog
from harborsite.db.series import written_back_between

MAX_HOURS = 240_000
OTHER = "other"  # every event but those of artifacts
OF_ARTIFACTS = ("create_artifact", "delete_artifact", "pull_artifact")
WINDOW = 5000  # rows looked at in one query, which holds nobody up
SMALLEST, FIRST, LARGEST = 10, 100, 500  # rows deleted in one transaction
_pause = time.sleep
AIM_SECONDS = 0.015  # how long a transaction may keep other writers waiting


def purge(
    *,
    hours: int,
    events: Sequence[str],
    dry_run: bool,
    check_stop: Callable[[], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Remove rows of these events that are older, in short transactions; returns how many there were.

    Names that are not known are ignored; with 0 hours or fewer nothing is old. `progress` is told how many rows have
    been looked at, of how many.
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
    condition &= Q(op_time__lt=timezone.now() - timedelta(hours=hours))
    if dry_run:
        return AuditLog.objects.filter(condition).count()
    with written_back_between() as write_back:
        return _remove(condition, check_stop, progress, write_back)


def _remove(
    condition: Q,
    check_stop: Callable[[], None],
    progress: Callable[[int, int], None],
    write_back: Callable[[], None],
) -> int:
    ends = AuditLog.objects.aggregate(first=Min("pk"), last=Max("pk"))
    first, last = ends["first"] or 0, ends["last"] or 0
    removed, size, after, unwritten = 0, FIRST, first - 1, 0
    while keys := _window(condition, after, last):
        old = [key for key, is_old in keys if is_old]
        while old:
            check_stop()
            batch, old = old[:size], old[size:]
            count, seconds = _delete(batch)
            removed, unwritten = removed + count, unwritten + count
            if unwritten >= LARGEST:
                write_back()
                unwritten = 0
            size = min(max(round(len(batch) * AIM_SECONDS / max(seconds, 0.001)), SMALLEST), LARGEST)
            _pause(seconds)  # the others' turn, for as long as they had to wait
        check_stop()
        after = keys[-1][0]
        progress(after - first + 1, last - first + 1)
    return removed


def _window(condition: Q, after: int, last: int) -> list[tuple[int, bool]]:
    """The next rows in the order of their keys, with whether they are to go: a query whose cost nothing changes."""
    is_old = Case(When(condition, then=True), default=False, output_field=BooleanField())
    rows = AuditLog.objects.filter(pk__gt=after, pk__lte=last).annotate(is_old=is_old)
    return list(rows.order_by("pk").values_list("pk", "is_old")[:WINDOW])


def _delete(keys: Sequence[int]) -> tuple[int, float]:
    """In one transaction; how many there still were, and for how many seconds others had to wait."""
    with transaction.atomic():
        began = time.monotonic()
        count = AuditLog.objects.filter(pk__in=keys).delete()[0]
    return count, time.monotonic() - began
