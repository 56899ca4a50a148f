"""Counting the tasks that have ended."""

from __future__ import annotations

from typing import Any, Final

from harborsite.jobs.models import Status, Task
from harborsite.observability import meters

_NAMES: Final = {Status.SUCCESS: "success", Status.ERROR: "fail", Status.STOPPED: "stop"}


def count(*, task_id: int, vendor_type: str, status: Status, **kwargs: Any) -> None:
    """A receiver of `task_changed`."""
    if (name := _NAMES.get(status)) is None:
        return
    counted = meters.meters()
    counted.tasks.labels(vendor_type, name).inc()
    times = Task.objects.filter(pk=task_id).values_list("start_time", "end_time").first()
    if times and times[0] and times[1]:
        counted.task_seconds.labels(vendor_type, name).observe((times[1] - times[0]).total_seconds())
