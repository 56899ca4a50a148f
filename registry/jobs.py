"""The registry's jobs: each does one task of an execution."""

from __future__ import annotations

from harborsite.jobs.runner import Job
from registry.services import uploads


def clean_up(job: Job) -> None:
    """Drop abandoned uploads; the job of SYSTEM_ARTIFACT_CLEANUP."""
    job.log(f"{uploads.clean_up()} abandoned uploads removed")
