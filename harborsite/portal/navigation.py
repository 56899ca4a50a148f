"""The left navigation and the tabs of a project, both decided by the role table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from harborsite.portal.scope import Scope, visitor
from projects.identity.ldap import sources

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
    """One tab of a project: which view it opens, what it is called and which action opens it."""

    view: str
    label: _StrOrPromise
    action: str


TABS = (
    Tab("summary", _("Summary"), "project:read"),
    Tab("repositories", _("Repositories"), "repository:list"),
    Tab("members", _("Members"), "member:list"),
    Tab("project_labels", _("Labels"), "label:create"),
    Tab("project_scanner", _("Scanner"), "repository:push"),
    Tab("project_robots", _("Robot accounts"), "robot:list"),
    Tab("webhooks", _("Webhooks"), "notification-policy:list"),
    Tab("policy", _("Policy"), "tag-retention:read"),
    Tab("project_logs", _("Logs"), "log:list"),
    Tab("project_configuration", _("Configuration"), "repository:push"),
)

ADMINISTRATION = (
    ("users", _("Users")),
    ("robots", _("Robot accounts")),
    ("groups", _("Groups")),
    ("registries", _("Registries")),
    ("replications", _("Replications")),
    ("distributions", _("Distributions")),
    ("labels", _("Labels")),
    ("quotas", _("Project quotas")),
    ("scanners", _("Scanners")),
    ("garbage_runs", _("Clean up")),
    ("job_queues", _("Job service")),
    ("events", _("Event log")),
    ("authentication", _("Authentication")),
    ("settings", _("System settings")),
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
    if not visitor(request).is_superuser:
        return []
    hidden = set() if sources.active() else {"groups"}  # only directories have any
    return [_entry(request, label, view) for view, label in ADMINISTRATION if view not in hidden]


def project_tabs(request: HttpRequest, scope: Scope) -> list[Link]:
    """The tabs that the visitor's role opens."""
    links = []
    for tab in TABS:
        if scope.allows(tab.action):
            url = reverse(f"admin:{tab.view}", args=[scope.project.name])
            here = request.path == url if tab.view == "summary" else request.path.startswith(url)
            links.append(Link(tab.label, url, here))
    return links
