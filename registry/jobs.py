"""The registry's jobs: each does one task of an execution."""

from __future__ import annotations

import time
from typing import Final

from django.utils.translation import gettext_noop

from harborsite.jobs import schedules
from harborsite.jobs.kinds import RETENTION
from harborsite.jobs.models import Execution, Status
from harborsite.jobs.runner import Job, PermanentError, StopJob
from registry import signals
from registry.models import Repository, RetentionPolicy
from registry.policies import judgement, sweeping
from registry.services import check, gc, uploads

_REMEMBER_SECONDS: Final = 5.0
_COUNTS: Final = ("blobs", "bytes", "faults", "healed", "set_aside")


def clean_up(job: Job) -> None:
    """Drop abandoned uploads; the job of SYSTEM_ARTIFACT_CLEANUP."""
    job.log(f"{uploads.clean_up()} abandoned uploads removed")


def repositories_to_judge(execution: Execution) -> list[dict[str, object]]:
    """One task of RETENTION for each repository that the policy is for; a policy that is gone has no schedule."""
    policy = RetentionPolicy.objects.select_related("project").filter(pk=execution.vendor_id).first()
    if policy is None:
        schedules.remove(vendor_type=RETENTION, vendor_id=execution.vendor_id)
        return []
    dry_run = bool(execution.extra_attrs.get("dry_run"))
    found = judgement.repositories(policy)
    expected = sweeping.forecast(policy, found)
    stopped = {"refused": str(expected)} if expected.too_much and not execution.extra_attrs.get("ignore_limit") else {}
    return [{"repository": repository.name, "dry_run": dry_run, **stopped} for repository in found]


def retain(job: Job) -> None:
    """Judge one repository and delete what no rule keeps; the job of RETENTION.

    A run that would delete too much as a whole only tells, as a dry run does, and ends as an error. One that is stopped
    or fails in between tells of what it has deleted; the run that goes on with it tells of the rest.
    """
    policy = RetentionPolicy.objects.select_related("project").filter(pk=job.execution.vendor_id).first()
    repository = Repository.objects.select_related("project").filter(name=job.attrs["repository"]).first()
    if policy is None or repository is None or repository.project_id != policy.project_id:
        job.log("the policy or the repository is gone")
        return
    dry_run, refused = bool(job.attrs.get("dry_run")), str(job.attrs.get("refused", ""))
    result, outcome = sweeping.Swept(), Status.ERROR
    try:
        sweeping.sweep(
            policy=policy,
            repository=repository,
            dry_run=dry_run or bool(refused),
            log=job.log,
            check_stop=job.check_stop,
            result=result,
        )
        outcome = Status.SUCCESS
    except StopJob:
        outcome = Status.STOPPED
        raise
    finally:
        job.remember(total=result.total, retained=result.retained)
        signals.retention_done.send_robust(
            sender=RetentionPolicy,
            project_id=policy.project_id,
            policy_id=policy.pk,
            repository=repository.name,
            total=result.total,
            retained=result.retained,
            deleted=result.deleted,
            outcome=outcome,
            username=str(job.execution.extra_attrs.get("operator", sweeping.ACTOR)),
        )
    if refused and dry_run:
        job.log(f"a run would stop here: {refused}", "WARNING")
    elif refused:
        raise PermanentError(f"nothing was deleted: {refused}")


def collect(job: Job) -> None:
    """Collect garbage; the job of GARBAGE_COLLECTION."""

    def report(line: str) -> None:
        job.log(line)
        job.check_stop()

    workers = job.attrs.get("workers")
    result = gc.run(
        dry_run=bool(job.attrs.get("dry_run")),
        delete_untagged=bool(job.attrs.get("delete_untagged")),
        workers=workers if isinstance(workers, int) else 1,
        report=report,
        progress=lambda done, total: job.progress(done, total, "blobs"),
    )
    job.remember(freed_space=result.bytes, purged_blobs=result.blobs, purged_manifests=result.manifests)


def check_storage(job: Job) -> None:
    """Verify every blob; the job of CHECK_STORAGE. One that was ended goes on where it was.

    It ends as an error where faults were found.
    """
    report = check.Report()
    for name in _COUNTS:
        setattr(report, name, job.attrs.get(name, 0))
    after = job.attrs.get("after")
    at = after if isinstance(after, int) else 0
    remembered = time.monotonic()

    def remember() -> None:
        nonlocal remembered
        job.remember(after=at, **{name: getattr(report, name) for name in _COUNTS})
        remembered = time.monotonic()

    def reached(key: int) -> None:
        nonlocal at
        at = key
        if time.monotonic() - remembered >= _REMEMBER_SECONDS:
            remember()

    def tell(finding: check.Finding) -> None:
        held = f", held by {', '.join(finding.repositories)}" if finding.repositories else ""
        job.log(f"{finding.fault} {finding.digest}, {finding.size} bytes{held}", "WARNING")

    try:
        check.check(
            quick=bool(job.attrs.get("quick")),
            quarantine=not job.attrs.get("dry_run"),
            found=tell,
            progress=lambda done, total, size, whole: job.progress(size, whole, "bytes"),
            check_stop=job.check_stop,
            report=report,
            after=at,
            reached=reached,
        )
    except StopJob:
        remember()
        raise
    at = 0
    remember()
    job.log(
        f"{report.blobs} blobs, {report.bytes} bytes: {report.faults} faults, {report.healed} healed, "
        f"{report.set_aside} set aside"
    )
    if not report.is_healthy:
        raise PermanentError(gettext_noop("the storage has faults: the log says which"))
