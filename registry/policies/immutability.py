"""Tags that a project has declared immutable: they are neither moved nor deleted, by anybody or anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.prepared import Row, prepared
from harborsite.errors import BadRequest, Conflict, PreconditionFailed
from harborsite.principal import Principal
from projects.models import Project
from registry.models import ImmutableRule, Repository, Tag
from registry.oci import doublestar

MAX_RULES = 15
TAG_DECORATIONS, REPOSITORY_DECORATIONS = frozenset({"matches", "excludes"}), frozenset({"repoMatches", "repoExcludes"})
Selector = Mapping[str, str]


class TagImmutable(PreconditionFailed):
    default_message = "the tag is configured as immutable"


class Rules:
    """The rules of one project that are in force, read once."""

    def __init__(self, project_id: int) -> None:
        self._pairs = [_first_pair(tags, scopes) for tags, scopes in _in_force(project_id)]

    def cover(self, repository_name: str, tag: str) -> bool:
        """Whether a rule makes this tag immutable; `repository_name` is the full one."""
        short = repository_name.partition("/")[2]
        return any(_selects(scope, short) and _selects(tags, tag) for tags, scope in self._pairs)


@prepared
def _in_force(project: int) -> QuerySet[ImmutableRule, Row]:
    rules = ImmutableRule.objects.filter(project=project, disabled=False)
    return rules.values_list("tag_selectors", "scope_selectors")


def check_push(*, project: Project, repository_name: str, tags: Iterable[str]) -> None:
    """Raise TagImmutable where one of `tags` is there already and may not be moved."""
    names = list(tags)
    if not names:
        return
    rules = Rules(project.pk)
    covered = [tag for tag in names if rules.cover(repository_name, tag)]
    if not covered:
        return
    taken = Tag.objects.filter(repository__name=repository_name, name__in=covered).values_list("name", flat=True)
    for tag in taken:
        short = repository_name.partition("/")[2]
        raise TagImmutable(f"Failed to process request due to '{short}:{tag}' configured as immutable.")


def check_delete(*, repository: Repository, tags: Iterable[str]) -> None:
    """Raise TagImmutable where one of `tags` may not go."""
    names = list(tags)
    if not names:
        return
    rules = Rules(repository.project_id)
    for tag in names:
        if rules.cover(repository.name, tag):
            raise TagImmutable(f"the tag {tag} configured as immutable, cannot be deleted")


def create_rule(
    *, project: Project, tag_selectors: Sequence[Selector], scope_selectors: Mapping[str, Any], actor: Principal
) -> ImmutableRule:
    rule = ImmutableRule(project=project)
    _fill(rule, tag_selectors, scope_selectors)
    if ImmutableRule.objects.filter(project=project).count() >= MAX_RULES:
        raise BadRequest(_("a project has at most {count} immutability rules").format(count=MAX_RULES))
    with transaction.atomic():
        _save(rule)
        _record(actor, Operation.CREATE, rule)
    return rule


def update_rule(
    *,
    rule: ImmutableRule,
    disabled: bool,
    tag_selectors: Sequence[Selector],
    scope_selectors: Mapping[str, Any],
    actor: Principal,
) -> ImmutableRule:
    """Switch the rule on or off, or else change what it selects: not both at once, as Harbor does it."""
    if disabled != rule.disabled:
        rule.disabled = disabled
    else:
        _fill(rule, tag_selectors, scope_selectors)
    with transaction.atomic():
        _save(rule)
        _record(actor, Operation.UPDATE, rule)
    return rule


def set_disabled(*, rule: ImmutableRule, disabled: bool, actor: Principal) -> None:
    """Switch the rule off or on; twice is once."""
    with transaction.atomic():
        if ImmutableRule.objects.filter(pk=rule.pk, disabled=not disabled).update(disabled=disabled):
            _record(actor, Operation.UPDATE, rule)


def delete_rule(*, rule: ImmutableRule, actor: Principal) -> None:
    with transaction.atomic():
        _record(actor, Operation.DELETE, rule)
        rule.delete()


def checked_selectors(selectors: Sequence[Selector], decorations: frozenset[str]) -> list[dict[str, str]]:
    """`selectors` as they are kept; raises BadRequest for what they can not be."""
    kept = []
    for selector in selectors:
        decoration, pattern = selector.get("decoration", ""), selector.get("pattern", "")
        if selector.get("kind") != "doublestar" or decoration not in decorations:
            raise BadRequest(_("unsupported selector {decoration}").format(decoration=decoration[:100]))
        if len(pattern) > doublestar.MAX_LENGTH:
            raise BadRequest(_("a pattern is too long"))
        kept.append({"kind": "doublestar", "decoration": decoration, "pattern": pattern})
    if not kept:
        raise BadRequest(_("a rule needs selectors of tags and of repositories"))
    return kept


def _fill(rule: ImmutableRule, tags: Sequence[Selector], scopes: Mapping[str, Any]) -> None:
    rule.tag_selectors = checked_selectors(tags, TAG_DECORATIONS)
    repositories = scopes.get("repository", [])
    rule.scope_selectors = {"repository": checked_selectors(repositories, REPOSITORY_DECORATIONS)}
    content = json.dumps([rule.tag_selectors, rule.scope_selectors], sort_keys=True)
    rule.fingerprint = hashlib.sha256(content.encode()).hexdigest()


def _save(rule: ImmutableRule) -> None:
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError:
        raise Conflict(_("immutable rule already exists")) from None


def _first_pair(tags: Sequence[Selector], scopes: Mapping[str, Sequence[Selector]]) -> tuple[Selector, Selector]:
    return tags[0], scopes["repository"][0]


def _selects(selector: Selector, name: str) -> bool:
    fits = doublestar.matches(selector["pattern"], name)
    return not fits if selector["decoration"] in {"excludes", "repoExcludes"} else fits


def _record(actor: Principal, operation: Operation, rule: ImmutableRule) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.IMMUTABLE_RULE,
        resource=f"{rule.project.name}:{rule.pk}",
        project_id=rule.project_id,
    )
