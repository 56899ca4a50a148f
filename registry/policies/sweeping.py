"""Carrying out a retention policy, with a table of what was kept and what went, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Max
from django.utils import timezone

from harborsite.errors import AppError
from projects import params
from registry.models import Artifact, Repository, RetentionPolicy, Tag
from registry.policies import judgement
from registry.policies.judgement import Candidate, Judgement, Verdict
from registry.services import deletes

ACTOR = "tag retention"  # whose deletions these are in the audit log
FEW = 10  # a share says nothing of so few artifacts


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do now; `limit` is the share of artifacts, in percent, that one run may delete."""

    total: int
    deleted: int
    limit: int

    @classmethod
    def of(cls, total: int, deleted: int) -> Forecast:
        """With the limit in force."""
        return cls(total, deleted, params.get(params.RETENTION_DELETE_LIMIT))

    @property
    def percent(self) -> int:
        return 100 * self.deleted // self.total if self.total else 0

    @property
    def too_much(self) -> bool:
        return self.deleted >= FEW and 100 * self.deleted > self.limit * self.total

    def __str__(self) -> str:
        return (
            f"{self.deleted} of {self.total} artifacts ({self.percent}%) would go, the limit of a run is {self.limit}%"
        )


@dataclass(slots=True)
class Swept:
    """How many artifacts there were, how many stay, and those that are gone."""

    total: int = 0
    retained: int = 0
    deleted: list[Candidate] = field(default_factory=list)


def forecast(policy: RetentionPolicy, repositories: Iterable[Repository]) -> Forecast:
    now = timezone.now()
    total = deleted = 0
    for repository in repositories:
        for each in judgement.judge(policy, repository, now):
            total += 1
            deleted += each.verdict == Verdict.DELETE
    return Forecast.of(total, deleted)


def sweep(
    *,
    policy: RetentionPolicy,
    repository: Repository,
    dry_run: bool,
    log: Callable[[str], None],
    check_stop: Callable[[], None],
    result: Swept,
) -> None:
    """Delete what no rule keeps; a dry run only tells what that is. `result` is right however this ends."""
    judged = judgement.judge(policy, repository, timezone.now())
    log(f"Run retention for repository {repository.name}{' (dry run)' if dry_run else ''}")
    log("| Digest | Tag | Kind | PushedTime | PulledTime | Retention | Reason |")
    result.total = result.retained = len(judged)
    for each in judged:
        check_stop()
        outcome, reason = each.verdict.value, each.reason
        if each.verdict == Verdict.DELETE and not dry_run:
            outcome, reason = _delete(each)
        result.retained -= outcome == Verdict.DELETE
        if outcome == Verdict.DELETE and not dry_run:
            result.deleted.append(each.candidate)
        log(_row(each.candidate, outcome, reason))
    log(f"Retained {result.retained} of {result.total}")


def _delete(judged: Judgement) -> tuple[str, str]:
    """What came of it, and why."""
    artifact = Artifact.objects.select_related("repository__project").filter(pk=judged.candidate.artifact_id).first()
    if artifact is None:
        return Verdict.DELETE, "gone already"
    if _has_changed(artifact, judged.candidate):
        return Verdict.RETAIN, "pushed or tagged meanwhile: the next run judges it"
    try:
        deletes.delete_artifact(artifact=artifact, actor=ACTOR)
    except AppError as error:
        return "ERR", error.message
    return Verdict.DELETE, judged.reason


def _has_changed(artifact: Artifact, candidate: Candidate) -> bool:
    """Whether it was pushed or tagged while this ran: then the next run judges it."""
    tags = Tag.objects.filter(artifact=artifact)
    names: Sequence[str] = sorted(tags.values_list("name", flat=True))
    newest = tags.aggregate(newest=Max("push_time"))["newest"] or artifact.push_time
    return list(names) != sorted(candidate.tags) or max(newest, artifact.push_time) > candidate.pushed


def _row(candidate: Candidate, outcome: str, reason: str) -> str:
    pulled = _written(candidate.pulled) if candidate.pulled.year > 1 else "-"
    tags, pushed = ",".join(candidate.tags), _written(candidate.pushed)
    return f"| {' | '.join((candidate.digest, tags, candidate.kind, pushed, pulled, outcome, reason))} |"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
