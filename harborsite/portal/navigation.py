"""The left navigation and the tabs of a project, both decided by the role table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from harborsite.portal.scope import Scope, visitor

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of a menu."""

    label: _StrOrPromise
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab of a project: what it is called, which view it opens and which action the role must hold."""

    view: str
    label: _StrOrPromise
    action: str


TABS = (
    Tab("summary", _("Summary"), "project:read"),
    Tab("repositories", _("Repositories"), "repository:list"),
    Tab("members", _("Members"), "member:list"),
    Tab("project_logs", _("Logs"), "log:list"),
)


def _entry(request: HttpRequest, label: _StrOrPromise, view: str) -> Link:
    url = reverse(f"admin:{view}")
    return Link(label, url, request.path.startswith(url))


def main_menu(request: HttpRequest) -> list[Link]:
    """What everyone, or everyone who is signed in, finds in the left navigation."""
    entries = [_entry(request, _("Projects"), "projects")]
    if visitor(request).is_authenticated:
        entries.append(_entry(request, _("Logs"), "logs"))
    return entries


def administration_menu(request: HttpRequest) -> list[Link]:
    """What administrators find there as well."""
    return [_entry(request, _("Users"), "users")] if visitor(request).is_superuser else []


def project_tabs(request: HttpRequest, scope: Scope) -> list[Link]:
    """The tabs that the visitor's role opens."""
    links = []
    for tab in TABS:
        if scope.allows(tab.action):
            url = reverse(f"admin:{tab.view}", args=[scope.project.name])
            here = request.path == url if tab.view == "summary" else request.path.startswith(url)
            links.append(Link(tab.label, url, here))
    return links
