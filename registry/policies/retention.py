"""What a project keeps: the policy, as it is set, scheduled and started; `judgement.py` applies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Conflict, NotFound
from harborsite.jobs import cron as cron_language
from harborsite.jobs import engine, schedules
from harborsite.jobs.kinds import RETENTION
from harborsite.jobs.models import Execution, Trigger
from harborsite.principal import Principal
from projects.models import Project, ProjectMetadata
from registry.models import RetentionPolicy
from registry.policies.immutability import REPOSITORY_DECORATIONS, TAG_DECORATIONS, checked_selectors

MAX_RULES = 15
METADATA = "retention_id"
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


def fingerprint(rule: Rule) -> str:
    """What a rule is called in the portal: it names the same rule however the list around it has changed."""
    return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()[:16]


def add_rule(*, project: Project, rule: Rule, actor: Principal) -> RetentionPolicy:
    """Add a rule to the project's policy, which is made if there is none."""
    with transaction.atomic():
        policy = RetentionPolicy.objects.select_for_update().filter(project=project).first()
        if policy is None:
            return create_policy(project=project, rules=[rule], cron="", actor=actor)
        return update_policy(policy=policy, rules=[*policy.rules, rule], cron=policy.cron, actor=actor)


def replace_rule(*, project: Project, name: str, rule: Rule | None, actor: Principal) -> RetentionPolicy:
    """Put `rule` where the one of that fingerprint is, or nothing. Raises NotFound if it is not there any more."""
    with transaction.atomic():
        policy = RetentionPolicy.objects.select_for_update().filter(project=project).first()
        rules = list(policy.rules) if policy else []
        place = next((at for at, each in enumerate(rules) if fingerprint(each) == name), None)
        if policy is None or place is None:
            raise NotFound(_("This rule has been changed meanwhile, or is gone."))
        rules[place : place + 1] = [rule] if rule else []
        return update_policy(policy=policy, rules=rules, cron=policy.cron, actor=actor)


def set_cron(*, project: Project, cron: str, actor: Principal) -> RetentionPolicy:
    """Run the project's policy on this schedule; empty is never."""
    with transaction.atomic():
        policy = RetentionPolicy.objects.select_for_update().filter(project=project).first()
        if policy is None:
            return create_policy(project=project, rules=[], cron=cron, actor=actor)
        return update_policy(policy=policy, rules=policy.rules, cron=cron, actor=actor)


def start(*, policy: RetentionPolicy, dry_run: bool, actor: Principal, ignore_limit: bool = False) -> Execution:
    """Run the policy now; a dry run only tells what it would delete.

    A run that would delete too large a share of what there is ends without deleting anything, unless that is ignored.
    """
    attrs = {"dry_run": dry_run, "operator": actor.username, **({"ignore_limit": True} if ignore_limit else {})}
    return engine.start(
        vendor_type=RETENTION, vendor_id=policy.pk, trigger=Trigger.MANUAL, extra_attrs=attrs, actor=actor
    )


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
