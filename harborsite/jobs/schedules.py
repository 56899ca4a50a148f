"""Setting, removing and firing schedules."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from harborsite.jobs import cron, engine, signals
from harborsite.jobs.kinds import SCHEDULER, SYSTEM_SCHEDULES
from harborsite.jobs.models import PausedQueue, Schedule, Trigger
from harborsite.jobs.signals import Action
from harborsite.principal import Principal

logger = logging.getLogger("harborsite.jobs")


def put(
    *,
    vendor_type: str,
    vendor_id: int = 0,
    cron_type: str = "Custom",
    expression: str,
    extra_attrs: Mapping[str, object] | None = None,
    actor: Principal | str | None = None,
) -> Schedule:
    """Set the one schedule of this kind and id; raises BadRequest for a cron that cannot be used.

    `actor`, here and below, is the person whose doing it is, to be written down; a policy's schedule goes without,
    for the change of the policy is written down.
    """
    cron.check(expression)
    with transaction.atomic():
        schedule, is_new = Schedule.objects.update_or_create(
            vendor_type=vendor_type,
            vendor_id=vendor_id,
            defaults={
                "cron_type": cron_type,
                "cron": expression,
                "extra_attrs": dict(extra_attrs or {}),
                "next_time": cron.next_time(expression, timezone.now()),
            },
        )
        signals.tell(actor, Action.CREATE if is_new else Action.UPDATE, vendor_type, schedule=expression)
    return schedule


def remove(*, vendor_type: str, vendor_id: int = 0, actor: Principal | str | None = None) -> None:
    """Forget the schedule, if there is one."""
    with transaction.atomic():
        for schedule in Schedule.objects.filter(vendor_type=vendor_type, vendor_id=vendor_id):
            signals.tell(actor, Action.DELETE, vendor_type, schedule=schedule.cron)
            schedule.delete()


def fire_due(moment: datetime) -> None:
    """Start what is due. A run that was missed while the server was down is made up for once, not many times."""
    if PausedQueue.objects.filter(vendor_type=SCHEDULER).exists():
        return
    for schedule in Schedule.objects.filter(next_time__lte=moment):
        with transaction.atomic():
            following = cron.next_time(schedule.cron, moment)
            mine = Schedule.objects.filter(pk=schedule.pk, next_time=schedule.next_time)
            if mine.update(next_time=following):
                engine.start(
                    vendor_type=schedule.vendor_type,
                    vendor_id=schedule.vendor_id,
                    trigger=Trigger.SCHEDULE,
                    extra_attrs=schedule.extra_attrs,
                )
                logger.info("schedule fired", extra={"kind": schedule.vendor_type, "vendor_id": schedule.vendor_id})


def ensure_system_schedules(**kwargs: Any) -> None:
    """After each migration: our own schedules."""
    for vendor_type, expression in SYSTEM_SCHEDULES.items():
        if not Schedule.objects.filter(vendor_type=vendor_type, vendor_id=0, cron=expression).exists():
            put(vendor_type=vendor_type, expression=expression)
