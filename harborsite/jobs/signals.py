"""What the engine announces: how tasks go, after the commit, so that no receiver fails a job; and who steers them."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from django.db import transaction
from django.dispatch import Signal

from harborsite.jobs.models import Execution, Status, Task
from harborsite.principal import Principal

task_changed = Signal()  # task_id: int, vendor_type: str, status: Status; begun or ended, not put back to wait

# In the transaction of what somebody asked for, so that it is written down with it: actor: Principal | str,
# action: Action, vendor_type: str, data: dict[str, int | str] with the keys of what it is about, or a schedule's cron.
steered = Signal()


class Action(StrEnum):
    """What people do with jobs, and with when they run by themselves."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    START = "start"
    STOP = "stop"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"


def tell(actor: Principal | str | None, action: Action, vendor_type: str, **data: int | str) -> None:
    """Say what `actor` does with jobs of this kind; nothing is said where nobody asked for it."""
    if actor is not None:
        steered.send(sender=Execution, actor=actor, action=action, vendor_type=vendor_type, data=data)


def announce(task: Task, status: Status) -> None:
    """Say that the task has now this status, once the current transaction has committed."""
    values = {"task_id": task.pk, "vendor_type": task.vendor_type, "status": status}
    transaction.on_commit(partial(task_changed.send_robust, sender=Task, **values))
