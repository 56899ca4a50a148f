"""What a project keeps: the policy, and the judgement of one repository by it.

An artifact is kept or deleted as a whole, with all its tags; it is kept if any rule keeps it. A repository that no
enabled rule is for is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Conflict
from harborsite.jobs import cron as cron_language
from harborsite.jobs import engine, schedules
from harborsite.jobs.kinds import RETENTION
from harborsite.jobs.models import Execution, Trigger
from harborsite.principal import Principal
from projects.models import Project, ProjectMetadata
from registry.models import Artifact, Repository, RetentionPolicy, Tag
from registry.oci import doublestar
from registry.policies.immutability import REPOSITORY_DECORATIONS, TAG_DECORATIONS, Rules, checked_selectors

MAX_RULES = 15
METADATA = "retention_id"
_NEVER = datetime.min.replace(tzinfo=UTC)
# Each template: its default parameter, and what is more than the parameter may be.
TEMPLATES: Mapping[str, tuple[int, int]] = {
    "latestPushedK": (10, 32767),
    "latestPulledN": (10, 32767),
    "latestActiveK": (10, 32767),
    "nDaysSinceLastPush": (30, 20190905),
    "nDaysSinceLastPull": (30, 20190905),
    "lastXDays": (10, 20190905),
    "always": (0, 1),
}
Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact as retention sees it; times are the newest of its own and its tags'."""

    artifact_id: int
    digest: str
    tags: tuple[str, ...]
    pushed: datetime
    pulled: datetime

    @property
    def active(self) -> datetime:
        return max(self.pushed, self.pulled)


def create_policy(*, project: Project, rules: Sequence[Rule], cron: str, actor: Principal) -> RetentionPolicy:
    """Give the project its one policy."""
    kept, cron = _checked(rules, cron)
    existing = RetentionPolicy.objects.filter(project=project).first()
    if existing is not None:
        raise _exists(project, existing)
    with transaction.atomic():
        try:
            with transaction.atomic():
                policy = RetentionPolicy.objects.create(project=project, rules=kept, cron=cron)
        except IntegrityError:
            raise _exists(project, RetentionPolicy.objects.get(project=project)) from None
        ProjectMetadata.objects.update_or_create(project=project, name=METADATA, defaults={"value": str(policy.pk)})
        _schedule(policy)
        _record(actor, Operation.CREATE, policy)
    return policy


def update_policy(*, policy: RetentionPolicy, rules: Sequence[Rule], cron: str, actor: Principal) -> RetentionPolicy:
    policy.rules, policy.cron = _checked(rules, cron)
    with transaction.atomic():
        policy.save(update_fields=["rules", "cron", "update_time"])
        _schedule(policy)
        _record(actor, Operation.UPDATE, policy)
    return policy


def delete_policy(*, policy: RetentionPolicy, actor: Principal) -> None:
    with transaction.atomic():
        schedules.remove(vendor_type=RETENTION, vendor_id=policy.pk)
        ProjectMetadata.objects.filter(project=policy.project, name=METADATA).delete()
        _record(actor, Operation.DELETE, policy)
        policy.delete()


def start(*, policy: RetentionPolicy, dry_run: bool, actor: Principal, trigger: Trigger = Trigger.MANUAL) -> Execution:
    """Run the policy now; a dry run only tells what it would delete."""
    attrs = {"dry_run": dry_run, "operator": actor.username}
    return engine.start(vendor_type=RETENTION, vendor_id=policy.pk, trigger=trigger, extra_attrs=attrs)


def repositories(policy: RetentionPolicy) -> list[Repository]:
    """The repositories of the project that an enabled rule is for."""
    rows = Repository.objects.filter(project=policy.project).order_by("name")
    return [repository for repository in rows if _rules_for(policy, repository)]


def candidates(repository: Repository) -> list[Candidate]:
    """Everything that may be judged: what a list shows, newest push first."""
    tags: dict[int, list[Tag]] = {}
    for tag in Tag.objects.filter(repository=repository).order_by("name"):
        tags.setdefault(tag.artifact_id, []).append(tag)
    rows = Artifact.objects.listed().filter(repository=repository).defer("manifest").order_by("-push_time", "-pk")
    found = []
    for artifact in rows:
        own = tags.get(artifact.pk, [])
        pulls = [when for when in [artifact.pull_time, *(tag.pull_time for tag in own)] if when]
        found.append(
            Candidate(
                artifact_id=artifact.pk,
                digest=artifact.digest,
                tags=tuple(tag.name for tag in own),
                pushed=max([artifact.push_time, *(tag.push_time for tag in own)]),
                pulled=max(pulls, default=_NEVER),
            )
        )
    return found


def kept_by(policy: RetentionPolicy, repository: Repository, found: Sequence[Candidate], now: datetime) -> set[int]:
    """The artifact ids that some rule keeps, or that immutable tags protect."""
    kept: set[int] = set()
    for rule in _rules_for(policy, repository):
        chosen = [candidate for candidate in found if _selects(rule["tag_selectors"][0], candidate.tags)]
        kept.update(candidate.artifact_id for candidate in _retained(rule, chosen, now))
    return kept


def immutable_ones(repository: Repository, found: Sequence[Candidate]) -> set[int]:
    rules = Rules(repository.project_id)
    return {c.artifact_id for c in found if any(rules.cover(repository.name, tag) for tag in c.tags)}


def _rules_for(policy: RetentionPolicy, repository: Repository) -> list[Rule]:
    name = repository.short_name
    return [
        rule
        for rule in policy.rules
        if not rule.get("disabled") and _fits(rule["scope_selectors"]["repository"][0], name)
    ]


def _fits(selector: Mapping[str, str], name: str) -> bool:
    fits = doublestar.matches(selector["pattern"], name)
    return not fits if selector["decoration"] in {"excludes", "repoExcludes"} else fits


def _selects(selector: Mapping[str, str], tags: Sequence[str]) -> bool:
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


def _checked(rules: Sequence[Rule], cron: str) -> tuple[list[dict[str, Any]], str]:
    if len(rules) > MAX_RULES:
        raise BadRequest(_("a retention policy has at most {count} rules").format(count=MAX_RULES))
    kept = [_checked_rule(rule) for rule in rules]
    distinct = {json.dumps(rule, sort_keys=True) for rule in kept}
    if len(distinct) != len(kept):
        raise Conflict(_("a rule is in the policy twice"))
    return kept, cron_language.check(cron) if cron else ""


def _checked_rule(rule: Rule) -> dict[str, Any]:
    template, params = str(rule.get("template", "")), rule.get("params") or {}
    _default, limit = TEMPLATES.get(template, (0, 1))
    number = params.get(template)
    if number is not None and template in TEMPLATES and not (type(number) is int and 0 <= number < max(limit, 1)):
        raise BadRequest(_("the parameter of {template} is out of range").format(template=template))
    tags = checked_selectors(rule.get("tag_selectors") or [], TAG_DECORATIONS)
    extras = [str(selector.get("extras", ""))[:200] for selector in rule["tag_selectors"]]
    return {
        "disabled": bool(rule.get("disabled")),
        "action": "retain",
        "template": template[:64],
        "params": {str(key)[:64]: value for key, value in params.items() if type(value) is int},
        "tag_selectors": [
            {**selector, **({"extras": extra} if extra else {})} for selector, extra in zip(tags, extras, strict=True)
        ],
        "scope_selectors": {
            "repository": checked_selectors(
                (rule.get("scope_selectors") or {}).get("repository") or [], REPOSITORY_DECORATIONS
            )
        },
    }


def _exists(project: Project, policy: RetentionPolicy) -> BadRequest:
    return BadRequest(
        _("project {project} already has retention policy {policy}").format(project=project.name, policy=policy.pk)
    )


def _schedule(policy: RetentionPolicy) -> None:
    if policy.cron:
        schedules.put(vendor_type=RETENTION, vendor_id=policy.pk, expression=policy.cron)
    else:
        schedules.remove(vendor_type=RETENTION, vendor_id=policy.pk)


def next_run(policy: RetentionPolicy) -> datetime | None:
    return cron_language.next_time(policy.cron, timezone.now()) if policy.cron else None


def _record(actor: Principal, operation: Operation, policy: RetentionPolicy) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.RETENTION,
        resource=policy.project.name,
        project_id=policy.project_id,
    )
