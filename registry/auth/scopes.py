"""What a token may be asked for: scopes as clients write them, and what each of them is worth to a principal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from harborsite.config import current
from harborsite.principal import Principal
from projects.models import Project
from projects.permissions import SCANNER_PULL, actions_for, can_system
from registry.models import Repository
from registry.oci.grammar import GrammarError, split_repository

REPOSITORY, REGISTRY = "repository", "registry"
CATALOG = "catalog"
PULL, PUSH, DELETE = "pull", "push", "delete"
_ISSUED: Mapping[str, str] = {
    PULL: "repository:pull",
    PUSH: "repository:push",
    DELETE: "repository:delete",
    "scanner-pull": SCANNER_PULL,
}


class Access(TypedDict):
    """One entry of a token's `access` claim."""

    type: str
    name: str
    actions: list[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """`type:name:action,action`; the name may itself hold colons."""

    type: str
    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is to say, and the projects that its repository entries speak of."""

    access: list[Access]
    projects: Mapping[str, int]


def full_name(name: str) -> str:
    """The name with its project: one of a single part is in the default project, where there is one."""
    default = current().default_project
    return name if "/" in name or not default else f"{default}/{name}"


def parse(values: Iterable[str]) -> list[Scope]:
    """The scopes of all `scope` parameters, each of which may hold several. Nothing is refused here."""
    return [_parse_one(text) for value in values for text in value.split()]


def _parse_one(text: str) -> Scope:
    kind, _, rest = text.partition(":")
    name, colon, actions = rest.rpartition(":")
    if not colon:
        name, actions = rest, ""
    return Scope(kind, name, tuple(action for action in actions.split(",") if action))


def grant(scopes: Sequence[Scope], who: Principal) -> Grant:
    """One entry for each scope, worth what `who` may do; a bad or unknown one is worth nothing and harms no other.

    As Harbor does, a repository is granted everything that `who` may do there, whatever was asked for. One query,
    and one for each name without a project that is asked for by somebody who may not push.
    """
    wanted = {scope: _place(scope) for scope in scopes}
    found = Project.objects.in_bulk({project for project, _ in wanted.values() if project}, field_name="name")
    access: list[Access] = []
    meant: dict[str, int] = {}
    for scope in scopes:
        project = found.get(wanted[scope][0])
        actions = _repository_actions(scope, project, who) if project else _other_actions(scope, who)
        if project and actions:
            meant[project.name] = project.pk
        access.append({"type": scope.type, "name": scope.name, "actions": actions})
    return Grant(access, meant)


def _place(scope: Scope) -> tuple[str, str]:
    """Project and repository that a scope is about; empty where it is about none."""
    if scope.type != REPOSITORY:
        return "", ""
    try:
        return split_repository(full_name(scope.name))
    except GrammarError:
        return "", ""


def _repository_actions(scope: Scope, project: Project, who: Principal) -> list[str]:
    held = actions_for(who, project)
    actions = [action for action, needed in _ISSUED.items() if needed in held]
    if "/" in scope.name or PUSH in actions or Repository.objects.filter(name=full_name(scope.name)).exists():
        return actions
    return []  # a name without a project means the default one only where there is something, or may be


def _other_actions(scope: Scope, who: Principal) -> list[str]:
    if (scope.type, scope.name) == (REGISTRY, CATALOG) and can_system(who, "catalog:read"):
        return list(scope.actions)
    return []
