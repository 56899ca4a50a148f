"""Handing ids to django-q2 once the current transaction has committed."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django_q.tasks import async_task

RUN = "harborsite.jobs.runner.run"
LAUNCH = "harborsite.jobs.runner.launch"


def push(function: str, key: int) -> None:
    """Queue `function(key)`; a queue that is down loses nothing, for the sweep pushes again what waits."""
    transaction.on_commit(partial(async_task, function, key, group=function, save=False), robust=True)
