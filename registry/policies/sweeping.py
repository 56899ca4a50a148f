"""Carrying out a retention policy in one repository, with a table of what was kept and what went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db.models import Max
from django.utils import timezone

from harborsite.errors import AppError
from registry.models import Artifact, Repository, RetentionPolicy, Tag
from registry.policies import retention
from registry.policies.retention import Candidate
from registry.services import deletes

ACTOR = "tag retention"  # whose deletions these are in the audit log


@dataclass(slots=True)
class Judged:
    """How many artifacts there were, how many stay, and those that are gone."""

    total: int
    retained: int = 0
    deleted: list[Candidate] = field(default_factory=list)


def judge(
    *,
    policy: RetentionPolicy,
    repository: Repository,
    dry_run: bool,
    log: Callable[[str], None],
    check_stop: Callable[[], None],
) -> Judged:
    """Delete what no rule keeps; a dry run only tells what that is."""
    found = retention.candidates(repository)
    kept = retention.kept_by(policy, repository, found, timezone.now())
    immutable = retention.immutable_ones(repository, found)
    log(f"Run retention for repository {repository.name}{' (dry run)' if dry_run else ''}")
    log("| Digest | Tag | PushedTime | PulledTime | Retention |")
    result = Judged(len(found))
    for candidate in found:
        check_stop()
        verdict = _verdict(repository, candidate, kept, immutable, dry_run=dry_run)
        result.retained += verdict != "DEL"
        if verdict == "DEL" and not dry_run:
            result.deleted.append(candidate)
        log(_row(candidate, verdict))
    log(f"Retained {result.retained} of {result.total}")
    return result


def _verdict(
    repository: Repository, candidate: Candidate, kept: set[int], immutable: set[int], *, dry_run: bool
) -> str:
    if candidate.artifact_id in kept:
        return "RETAIN"
    if candidate.artifact_id in immutable:
        return "IMMUTABLE"
    if dry_run:
        return "DEL"
    artifact = Artifact.objects.select_related("repository__project").filter(pk=candidate.artifact_id).first()
    if artifact is None:
        return "DEL"
    if _has_changed(artifact, candidate):
        return "RETAIN"
    try:
        deletes.delete_artifact(artifact=artifact, actor=ACTOR)
    except AppError as error:
        return f"ERR {error.message}"
    return "DEL"


def _has_changed(artifact: Artifact, candidate: Candidate) -> bool:
    """Whether it was pushed or tagged while this ran: then the next run judges it."""
    tags = Tag.objects.filter(artifact=artifact)
    names: Sequence[str] = sorted(tags.values_list("name", flat=True))
    newest = tags.aggregate(newest=Max("push_time"))["newest"] or artifact.push_time
    return list(names) != sorted(candidate.tags) or max(newest, artifact.push_time) > candidate.pushed


def _row(candidate: Candidate, verdict: str) -> str:
    pulled = f"{candidate.pulled:%Y-%m-%d %H:%M:%S}" if candidate.pulled.year > 1 else "-"
    cells = (candidate.digest, ",".join(candidate.tags), f"{candidate.pushed:%Y-%m-%d %H:%M:%S}", pulled, verdict)
    return f"| {' | '.join(cells)} |"
