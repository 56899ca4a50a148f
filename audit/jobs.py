"""The audit log's jobs: each does one task of an execution."""

from __future__ import annotations

from functools import partial

from audit.purging import purge
from harborsite.jobs.runner import Job


def remove_old(job: Job) -> None:
    """Remove old rows; the job of PURGE_AUDIT_LOG."""
    hours, events = job.attrs.get("audit_retention_hour"), str(job.attrs.get("include_event_types", ""))
    dry_run = bool(job.attrs.get("dry_run"))
    count = purge(
        hours=hours if isinstance(hours, int) else 0,
        events=[event.strip() for event in events.split(",")],
        dry_run=dry_run,
        check_stop=job.check_stop,
        progress=partial(job.progress, unit="records"),
    )
    job.log(f"{'would remove' if dry_run else 'removed'} {count} rows of the audit log")
    job.remember(purged=count)
