"""What the engine announces, always after the commit and with `send_robust`: no receiver can fail a job."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

from harborsite.jobs.models import Status, Task

task_changed = Signal()  # task_id: int, vendor_type: str, status: Status; begun or ended, not put back to wait


def announce(task: Task, status: Status) -> None:
    """Say that the task has now this status, once the current transaction has committed."""
    values = {"task_id": task.pk, "vendor_type": task.vendor_type, "status": status}
    transaction.on_commit(partial(task_changed.send_robust, sender=Task, **values))
