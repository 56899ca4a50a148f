"""Telling of many events at once: written down in the transaction in which they happen, told by a job.

So whoever deletes thousands of artifacts waits for no delivery to be made, and a crash loses none and makes none twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from harborsite.jobs import engine
from harborsite.jobs.kinds import SLACK, WEBHOOK, WEBHOOK_EVENTS
from harborsite.jobs.models import Status, Task, Trigger
from harborsite.jobs.runner import Job, Later, StopJob
from projects import params
from projects.models import WebhookPolicy
from projects.webhooks.events import Event, tell, wanting

FEW: Final = 10  # deliveries that are made at once
STEP: Final = 20  # events whose deliveries are made in one transaction
MOST_WAITING: Final = 50  # deliveries: other jobs wait behind them
_PATIENCE_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.1


def notify_of_many(*, event: Event, project_id: int, operator: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Tell every policy that wants it of each of `events`; in the caller's transaction."""
    if not params.get(params.NOTIFICATION_ENABLE):
        return
    policies = wanting(event, project_id)
    if len(events) * sum(len(policy.targets) for policy in policies) <= FEW:
        for data in events:
            for policy in policies:
                tell(policy=policy, event=event, operator=operator, data=data)
        return
    parameters = {
        "event_type": event,
        "operator": operator,
        "policies": [policy.pk for policy in policies],
        "happened": timezone.now().isoformat(),
        "events": list(events),
    }
    engine.start(
        vendor_type=WEBHOOK_EVENTS,
        vendor_id=project_id,
        trigger=Trigger.EVENT,
        extra_attrs={"event_type": event, "count": len(events)},
        tasks=[parameters],
    )


def make_deliveries(job: Job) -> None:
    """Start the deliveries of the events, some at a time, together with the note of how far that has come.

    Policies that have gone or were switched off meanwhile are told nothing.
    """
    attrs: Any = job.attrs
    events, event, moment = attrs["events"], Event(attrs["event_type"]), datetime.fromisoformat(attrs["happened"])
    done = int(attrs.get("done", 0))
    while done < len(events):
        _wait_for_room(job)
        with transaction.atomic():
            for policy in WebhookPolicy.objects.filter(pk__in=attrs["policies"], enabled=True).order_by("pk"):
                for data in events[done : done + STEP]:
                    tell(policy=policy, event=event, operator=attrs["operator"], data=data, moment=moment)
            done = min(done + STEP, len(events))
            if not job.remember(done=done):
                raise StopJob  # another worker has taken over, and makes these
        job.progress(done, len(events), "events")


def _wait_for_room(job: Job) -> None:
    """Let the deliveries that wait become few; where that takes long, others may have the worker."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _waiting() >= MOST_WAITING:
        job.check_stop()
        if time.monotonic() > deadline:
            raise Later
        time.sleep(_LOOK_SECONDS)
    job.check_stop()


def _waiting() -> int:
    due = Q(not_before=None) | Q(not_before__lte=timezone.now())
    return Task.objects.filter(due, status=Status.PENDING, vendor_type__in=[WEBHOOK, SLACK]).count()
