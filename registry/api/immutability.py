"""Immutability rules of a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Created, Done, Paged
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_number
from harborsite.api.wire import without_empty
from harborsite.errors import BadRequest, NotFound
from projects.api.base import ProjectView
from registry.models import ImmutableRule
from registry.policies import immutability

COLUMNS = {"id": Column("pk", to_number), "disabled": Column("disabled", to_flag)}


@dataclass(frozen=True, slots=True)
class SelectorShape:
    kind: str = ""
    decoration: str = ""
    pattern: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"kind": self.kind, "decoration": self.decoration, "pattern": self.pattern}


@dataclass(frozen=True, slots=True)
class RuleShape:
    id: int = 0
    disabled: bool = False
    tag_selectors: list[SelectorShape] = field(default_factory=list)
    scope_selectors: dict[str, list[SelectorShape]] = field(default_factory=dict)

    @property
    def tags(self) -> list[dict[str, str]]:
        return [selector.as_dict() for selector in self.tag_selectors]

    @property
    def scopes(self) -> dict[str, list[dict[str, str]]]:
        return {key: [selector.as_dict() for selector in selectors] for key, selectors in self.scope_selectors.items()}


class ShownSelector(TypedDict):
    kind: str
    decoration: str
    pattern: str


class ShownRule(TypedDict):
    id: int
    disabled: NotRequired[bool]
    action: str
    template: str
    tag_selectors: list[ShownSelector]
    scope_selectors: dict[str, list[ShownSelector]]


def render(rule: ImmutableRule) -> ShownRule:
    shape: ShownRule = {
        "id": rule.pk,
        "disabled": rule.disabled,
        "action": "immutable",
        "template": "immutable_template",
        "tag_selectors": rule.tag_selectors,
        "scope_selectors": rule.scope_selectors,
    }
    return without_empty(shape, "disabled")


class RulesView(ProjectView):
    actions = {"GET": "immutable-tag:list", "POST": "immutable-tag:create"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownRule]:
        rows = ImmutableRule.objects.filter(project=self.project)
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("pk",))
        return paged(request, rows, lambda found: [render(rule) for rule in found])

    def post(self, request: Request, project_name_or_id: str) -> Created:
        new = body.read(request, RuleShape)
        rule = immutability.create_rule(
            project=self.project, tag_selectors=new.tags, scope_selectors=new.scopes, actor=self.who
        )
        return Created(f"/api/v2.0/projects/{project_name_or_id}/immutabletagrules/{rule.pk}")


class RuleView(ProjectView):
    actions = {"PUT": "immutable-tag:update", "DELETE": "immutable-tag:delete"}

    def put(self, request: Request, project_name_or_id: str, immutable_rule_id: int) -> Done:
        rule, new = self._find(immutable_rule_id), body.read(request, RuleShape)
        if new.id not in {0, rule.pk}:
            raise BadRequest("the id in the body differs from the one in the path")
        immutability.update_rule(
            rule=rule, disabled=new.disabled, tag_selectors=new.tags, scope_selectors=new.scopes, actor=self.who
        )
        return Done()

    def delete(self, request: Request, project_name_or_id: str, immutable_rule_id: int) -> Done:
        immutability.delete_rule(rule=self._find(immutable_rule_id), actor=self.who)
        return Done()

    def _find(self, rule_id: int) -> ImmutableRule:
        rule = ImmutableRule.objects.select_related("project").filter(project=self.project, pk=rule_id).first()
        if rule is None:
            raise NotFound(f"immutable rule {rule_id} not found")
        return rule
