"""The judgement of a repository by the retention policy of its project, with the reason for each artifact.

An artifact is kept or deleted as a whole, with all its tags; it is kept if any rule keeps it. A repository that no
enabled rule is for is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import models

from registry.models import Artifact, Repository, RetentionPolicy, Tag
from registry.oci import doublestar
from registry.policies.dependents import Dependents
from registry.policies.immutability import Rules
from registry.policies.retention import TEMPLATES, Rule

_NEVER = datetime.min.replace(tzinfo=UTC)


class Verdict(models.TextChoices):
    """What becomes of an artifact, in the words of Harbor's logs."""

    RETAIN = "RETAIN"
    IMMUTABLE = "IMMUTABLE"
    DELETE = "DEL"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact as retention sees it; times are the newest of its own and its tags'."""

    artifact_id: int
    digest: str
    kind: str
    tags: tuple[str, ...]
    pushed: datetime
    pulled: datetime

    @property
    def active(self) -> datetime:
        return max(self.pushed, self.pulled)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`rules` are the numbers, from 1 in the policy's order, of those that keep it; `immutable` are the tags that do,
    its own or those of what would go with it; `listed` says that an index which stays lists it. Else it goes.
    """

    candidate: Candidate
    rules: tuple[int, ...]
    immutable: tuple[str, ...]
    listed: bool = False

    @property
    def verdict(self) -> Verdict:
        if self.rules or self.listed:
            return Verdict.RETAIN
        return Verdict.IMMUTABLE if self.immutable else Verdict.DELETE

    @property
    def reason(self) -> str:
        """In English, for logs and clients."""
        if self.rules:
            return f"kept by rule {', '.join(map(str, self.rules))}"
        if self.listed:
            return "listed by an index that stays"
        return f"immutable: {', '.join(self.immutable)}" if self.immutable else "no rule keeps it"


def repositories(policy: RetentionPolicy) -> list[Repository]:
    """The repositories of the project that an enabled rule is for."""
    rows = Repository.objects.filter(project=policy.project).order_by("name")
    return [repository for repository in rows if _rules_for(policy, repository)]


def judge(policy: RetentionPolicy, repository: Repository, now: datetime) -> list[Judgement]:
    """Everything that may be judged, newest push first."""
    found = candidates(repository)
    kept: dict[int, list[int]] = {}
    for number, rule in _rules_for(policy, repository):
        chosen = [candidate for candidate in found if selects(rule["tag_selectors"][0], candidate.tags)]
        for candidate in _retained(rule, chosen, now):
            kept.setdefault(candidate.artifact_id, []).append(number)
    immutable = Rules(repository.project_id)
    judged = [
        Judgement(
            candidate,
            tuple(kept.get(candidate.artifact_id, ())),
            tuple(tag for tag in candidate.tags if immutable.cover(repository.name, tag)),
        )
        for candidate in found
    ]
    if any(each.verdict == Verdict.DELETE for each in judged):
        dependents = Dependents(repository)
        covered = partial(immutable.cover, repository.name)
        judged = [_with_dependents(each, dependents, covered) for each in judged]
    return judged


def _with_dependents(judged: Judgement, dependents: Dependents, is_immutable: Callable[[str], bool]) -> Judgement:
    """In the order in which a run deletes: a part of an index may go once the index has gone."""
    key = judged.candidate.artifact_id
    if judged.verdict != Verdict.DELETE:
        return judged
    if dependents.is_listed(key):
        return replace(judged, listed=True)
    if tags := dependents.immutable_tags(key, is_immutable):
        return replace(judged, immutable=tags)
    dependents.let_go(key)
    return judged


def candidates(repository: Repository) -> list[Candidate]:
    """Everything that may be judged: what a list shows, newest push first."""
    tags: dict[int, list[Tag]] = {}
    for tag in Tag.objects.filter(repository=repository).order_by("name"):
        tags.setdefault(tag.artifact_id, []).append(tag)
    rows = Artifact.objects.listed().filter(repository=repository).order_by("-push_time", "-pk")
    found = []
    for artifact in rows.only("digest", "type", "push_time", "pull_time"):
        own = tags.get(artifact.pk, [])
        pulls = [when for when in [artifact.pull_time, *(tag.pull_time for tag in own)] if when]
        found.append(
            Candidate(
                artifact_id=artifact.pk,
                digest=artifact.digest,
                kind=artifact.type,
                tags=tuple(tag.name for tag in own),
                pushed=max([artifact.push_time, *(tag.push_time for tag in own)]),
                pulled=max(pulls, default=_NEVER),
            )
        )
    return found


def _rules_for(policy: RetentionPolicy, repository: Repository) -> list[tuple[int, Rule]]:
    name = repository.short_name
    return [
        (number, rule)
        for number, rule in enumerate(policy.rules, 1)
        if not rule.get("disabled") and _fits(rule["scope_selectors"]["repository"][0], name)
    ]


def _fits(selector: Mapping[str, str], name: str) -> bool:
    fits = doublestar.matches(selector["pattern"], name)
    return not fits if selector["decoration"] in {"excludes", "repoExcludes"} else fits


def selects(selector: Mapping[str, str], tags: Sequence[str]) -> bool:
    """Whether any tag fits; what has no tag is chosen as the selector's extras say."""
    if tags:
        return any(_fits(selector, tag) for tag in tags)
    untagged = bool(_extras(selector).get("untagged", selector["decoration"] == "matches"))
    return untagged if selector["decoration"] == "matches" else not untagged


def _extras(selector: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        extras = json.loads(selector.get("extras") or "{}")
    except ValueError:
        return {}
    return extras if isinstance(extras, dict) else {}


def _retained(rule: Rule, chosen: Sequence[Candidate], now: datetime) -> Sequence[Candidate]:
    """What the rule keeps of `chosen`; a template that is not known keeps all of it."""
    template = rule["template"]
    default, _limit = TEMPLATES.get(template, (0, 0))
    number = int(rule.get("params", {}).get(template, default))
    newest: Mapping[str, Callable[[Candidate], datetime]] = {
        "latestPushedK": lambda candidate: candidate.pushed,
        "latestPulledN": lambda candidate: candidate.pulled,
        "latestActiveK": lambda candidate: candidate.active,
    }
    since: Mapping[str, Callable[[Candidate], datetime]] = {
        "nDaysSinceLastPush": lambda candidate: candidate.pushed,
        "lastXDays": lambda candidate: candidate.pushed,
        "nDaysSinceLastPull": lambda candidate: candidate.pulled,
    }
    if template in newest:
        return sorted(chosen, key=newest[template], reverse=True)[:number]
    if template in since:
        oldest = now - timedelta(days=min(number, 700_000))
        return [candidate for candidate in chosen if since[template](candidate) >= oldest]
    return chosen
