"""Who is looking at a page, and within which project: found once per request, asked by every admin class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, QueryDict
from django.shortcuts import get_object_or_404

from harborsite.principal import Anonymous, Principal
from projects import permissions
from projects.models import Project, User
from projects.services import quotas

_KEY = "portal_scope"


@dataclass(frozen=True, slots=True)
class Scope:
    """One project as one visitor sees it; `parent` is the object whose list is shown, such as a repository."""

    who: Principal
    project: Project
    actions: frozenset[str]
    parent: Any = None

    def allows(self, action: str) -> bool:
        return action in self.actions

    @property
    def role(self) -> int:
        """The role to show beside the project's name; 0 for none."""
        return permissions.highest_role(self.who.roles_in(self.project)) if isinstance(self.who, User) else 0

    @property
    def quota(self) -> quotas.Usage | None:
        """What the project stores, for who may know it."""
        return quotas.usage(project=self.project) if self.allows("quota:read") else None


def visitor(request: HttpRequest) -> Principal:
    """The signed-in user, or nobody."""
    return request.user if isinstance(request.user, User) else Anonymous()


def signed_in(request: HttpRequest) -> User:
    """The signed-in user, where the page is for such alone."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: of a POST everything, be it nothing; of a GET nothing at all."""
    return request.POST if request.method == "POST" else None


def enter(request: HttpRequest, project_name: str, action: str) -> Scope:
    """Open a project for this request: 404 where the visitor may not know of it, 403 where `action` is refused."""
    who = visitor(request)
    project = get_object_or_404(Project.objects.visible_to(who), name=project_name)
    scope = Scope(who, project, permissions.actions_for(who, project))
    if not scope.allows(action):
        raise PermissionDenied
    request.__dict__[_KEY] = scope
    return scope


def narrow(request: HttpRequest, parent: object) -> Scope:
    """Go from the project to one object in it, whose parts the page lists."""
    scope = current(request)
    narrowed = Scope(scope.who, scope.project, scope.actions, parent)
    request.__dict__[_KEY] = narrowed
    return narrowed


def current(request: HttpRequest) -> Scope:
    """The scope that `enter` opened; a page outside of any project has none."""
    scope = request.__dict__.get(_KEY)
    if not isinstance(scope, Scope):
        raise PermissionDenied
    return scope


def find(request: HttpRequest) -> Scope | None:
    """The scope, or None on pages outside of projects."""
    return request.__dict__.get(_KEY)
