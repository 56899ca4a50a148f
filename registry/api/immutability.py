"""Immutability rules of a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api import body
from harborsite.api.paging import paged
from harborsite.api.wire import without_empty
from harborsite.errors import BadRequest, NotFound
from projects.api.base import ProjectView, created
from registry.models import ImmutableRule
from registry.policies import immutability


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


def render(rule: ImmutableRule) -> dict[str, Any]:
    shape = {
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

    def get(self, request: Request, project_name_or_id: str) -> Response:
        rows = ImmutableRule.objects.filter(project=self.project).order_by("pk")
        return paged(request, rows, lambda found: [render(rule) for rule in found])

    def post(self, request: Request, project_name_or_id: str) -> Response:
        new = body.read(request, RuleShape)
        rule = immutability.create_rule(
            project=self.project, tag_selectors=new.tags, scope_selectors=new.scopes, actor=self.who
        )
        return created(f"/api/v2.0/projects/{project_name_or_id}/immutabletagrules/{rule.pk}")


class RuleView(ProjectView):
    actions = {"PUT": "immutable-tag:update", "DELETE": "immutable-tag:delete"}

    def put(self, request: Request, project_name_or_id: str, immutable_rule_id: int) -> Response:
        rule, new = self._find(immutable_rule_id), body.read(request, RuleShape)
        if new.id not in {0, rule.pk}:
            raise BadRequest("the id in the body differs from the one in the path")
        immutability.update_rule(
            rule=rule, disabled=new.disabled, tag_selectors=new.tags, scope_selectors=new.scopes, actor=self.who
        )
        return Response()

    def delete(self, request: Request, project_name_or_id: str, immutable_rule_id: int) -> Response:
        immutability.delete_rule(rule=self._find(immutable_rule_id), actor=self.who)
        return Response()

    def _find(self, rule_id: int) -> ImmutableRule:
        rule = ImmutableRule.objects.select_related("project").filter(project=self.project, pk=rule_id).first()
        if rule is None:
            raise NotFound(f"immutable rule {rule_id} not found")
        return rule
