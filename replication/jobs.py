"""The jobs of this app."""

from __future__ import annotations

from harborsite.jobs.models import Execution
from harborsite.jobs.runner import Job
from replication.services import planning, registries, running


def launch(execution: Execution) -> list[dict[str, object]]:
    """Which repositories are to be copied, as the parameters of a task each."""
    return planning.plan(execution)


def run(job: Job) -> None:
    """Copy or delete in one repository."""
    running.perform(job)


def check_registries() -> None:
    """Every few minutes: which remote registries answer."""
    registries.check_all()
