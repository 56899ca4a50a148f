"""The jobs of people and projects: each does one task of an execution."""

from __future__ import annotations

from harborsite.jobs.runner import Job
from projects.webhooks import delivery, many


def deliver(job: Job) -> None:
    """Send one event to one address; the job of WEBHOOK and SLACK."""
    delivery.deliver(
        policy_id=job.execution.vendor_id,
        address=str(job.attrs["address"]),
        payload=str(job.attrs["payload"]),
        log=job.log,
    )


def make_deliveries(job: Job) -> None:
    """Make the deliveries of many events; the job of WEBHOOK_EVENTS."""
    many.make_deliveries(job)
