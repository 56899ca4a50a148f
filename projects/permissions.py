"""THE role table: who may do what in a project, as data; tokens, REST, portal and menus all read it.

After Harbor's own table, so that a client that knows Harbor's roles meets no surprise. An action is written
`resource:verb`; the project itself is the resource `project` (Harbor calls it "self").
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from harborsite.principal import Principal
    from projects.models import Project


class Role(models.IntegerChoices):
    """Harbor's role ids; they are on the wire and never change."""

    PROJECT_ADMIN = 1, _("Project Admin")
    DEVELOPER = 2, _("Developer")
    GUEST = 3, _("Guest")
    MAINTAINER = 4, _("Maintainer")
    LIMITED_GUEST = 5, _("Limited Guest")

    @property
    def wire_name(self) -> str:
        return ROLE_NAMES[self]


ROLE_NAMES: Mapping[int, str] = {
    1: "projectAdmin",
    2: "developer",
    3: "guest",
    4: "maintainer",
    5: "limitedGuest",
}


class Rank(IntEnum):
    """Which of several roles is the highest."""

    LIMITED_GUEST = 1
    GUEST = 2
    DEVELOPER = 3
    MAINTAINER = 4
    PROJECT_ADMIN = 5


def _expand(table: Mapping[str, str]) -> frozenset[str]:
    """`{"member": "create list"}` to `member:create`, `member:list`."""
    return frozenset(f"{resource}:{verb}" for resource, verbs in table.items() for verb in verbs.split())


_CRUDL = "create read update delete list"

PROJECT_ADMIN = _expand(
    {
        "project": "read update delete",
        "member": _CRUDL,
        "metadata": "create read update delete",
        "log": "list",
        "label": _CRUDL,
        "quota": "read",
        "repository": f"{_CRUDL} pull push",
        "tag-retention": f"{_CRUDL} operate",
        "immutable-tag": "create update delete list",
        "configuration": "read update",
        "robot": _CRUDL,
        "notification-policy": _CRUDL,
        "scan": "create read stop",
        "sbom": "create read stop",
        "scanner": "create read",
        "artifact": "create read delete list",
        "artifact-addition": "read",
        "tag": "create delete list",
        "accessory": "list",
        "artifact-label": "create delete",
        "preheat-policy": _CRUDL,
        "export-cve": "create read list",
    }
)
MAINTAINER = _expand(
    {
        "project": "read",
        "member": "read list",
        "metadata": "read",
        "label": _CRUDL,
        "quota": "read",
        "repository": f"{_CRUDL} pull push",
        "tag-retention": f"{_CRUDL} operate",
        "immutable-tag": "create update delete list",
        "configuration": "read",
        "robot": "read list",
        "notification-policy": "read list",
        "scan": "create read stop",
        "sbom": "create read stop",
        "scanner": "read",
        "artifact": "create read delete list",
        "artifact-addition": "read",
        "tag": "create delete list",
        "accessory": "list",
        "artifact-label": "create delete",
        "export-cve": "create read list",
    }
)
DEVELOPER = _expand(
    {
        "project": "read",
        "member": "read list",
        "label": "read list",
        "quota": "read",
        "repository": "create read update list pull push",
        "tag-retention": f"{_CRUDL} operate",
        "configuration": "read",
        "robot": "read list",
        "scan": "read",
        "sbom": "read",
        "scanner": "read",
        "artifact": "create read list",
        "artifact-addition": "read",
        "tag": "create list",
        "accessory": "list",
        "artifact-label": "create delete",
        "export-cve": "create read list",
    }
)
LIMITED_GUEST = _expand(
    {
        "project": "read",
        "quota": "read",
        "repository": "read list pull",
        "configuration": "read",
        "scan": "read",
        "sbom": "read",
        "scanner": "read",
        "artifact": "read list",
        "artifact-addition": "read",
        "tag": "list",
        "accessory": "list",
    }
)
GUEST = LIMITED_GUEST | _expand({"member": "read list", "label": "read list", "robot": "read list"})

ROLE_ACTIONS: Mapping[int, frozenset[str]] = {
    Role.PROJECT_ADMIN: PROJECT_ADMIN,
    Role.MAINTAINER: MAINTAINER,
    Role.DEVELOPER: DEVELOPER,
    Role.GUEST: GUEST,
    Role.LIMITED_GUEST: LIMITED_GUEST,
}

# What anyone may do in a public project. Not `repository:read`: Harbor lists repositories to strangers, but
# answers 401 for one repository's record.
PUBLIC_ACTIONS = _expand(
    {
        "project": "read",
        "label": "read list",
        "repository": "list pull",
        "scan": "read",
        "scanner": "read",
        "tag": "list",
        "artifact": "read list",
        "artifact-addition": "read",
        "accessory": "list",
    }
)

# Actions that no role holds: `metadata:list` is for administrators and robots, `scanner-pull` for scanners alone.
SCANNER_PULL = "repository:scanner-pull"
PROJECT_ACTIONS: frozenset[str] = PROJECT_ADMIN | {"metadata:list"}

# What there is to do on the system as a whole, as `GET /users/current/permissions` lists it.
SYSTEM_ACTIONS: frozenset[str] = _expand(
    {
        "catalog": "read",
        "audit-log": "list",
        "project": _CRUDL,
        "user": _CRUDL,
        "user-group": _CRUDL,
        "registry": _CRUDL,
        "replication": _CRUDL,
        "distribution": _CRUDL,
        "garbage-collection": _CRUDL,
        "scan-all": f"{_CRUDL} stop",
        "system-volumes": "read",
        "ldap-user": "create list",
        "configuration": "read update",
        "jobservice-monitor": "read list stop",
        "security-hub": "read list",
    }
)

# Robot accounts may be granted these, in the order in which `GET /permissions` lists them.
GRANTABLE_SYSTEM: Mapping[str, str] = {
    "audit-log": "list",
    "preheat-instance": "read create delete list update",
    "project": "list create",
    "replication-policy": "read create delete list update",
    "replication": "read create list",
    "replication-adapter": "list",
    "registry": "read create delete list update",
    "scan-all": "read update stop create",
    "system-volumes": "read",
    "garbage-collection": "read create list update stop",
    "purge-audit": "read create list update stop",
    "jobservice-monitor": "list stop",
    "scanner": "read create delete list update",
    "label": "read create delete update",
    "security-hub": "read list",
    "catalog": "read",
    "quota": "read list update",
    "robot": "create read list delete",
    "user": "create read update list delete",
    "ldap-user": "create list",
    "user-group": "create read update list delete",
}
GRANTABLE_PROJECT: Mapping[str, str] = {
    "log": "list",
    "project": "read delete update",
    "metadata": "read create delete list update",
    "repository": "read update delete list pull push",
    "artifact": "read create list delete",
    "scan": "create read stop",
    "sbom": "create stop read",
    "tag": "create list delete",
    "accessory": "list",
    "artifact-addition": "read",
    "artifact-label": "create delete",
    "scanner": "create read",
    "preheat-policy": "read create delete list update",
    "immutable-tag": "create delete list update",
    "notification-policy": "read create delete list update",
    "tag-retention": "read create delete list update",
    "label": "read create delete list update",
    "quota": "read",
    "robot": "create read list delete",
    "export-cve": "create read",
    "member": "create read update list delete",
}


def actions_for(who: Principal, project: Project) -> frozenset[str]:
    """Everything `who` may do in `project`."""
    if who.is_superuser:
        return PROJECT_ACTIONS
    granted = who.granted_in(project)
    return granted | PUBLIC_ACTIONS if project.public else granted


def can(who: Principal, action: str, project: Project) -> bool:
    """Whether `who` may do `action` (`resource:verb`) in `project`."""
    return action in actions_for(who, project)


def can_system(who: Principal, action: str) -> bool:
    """Whether `who` may do `action` (`resource:verb`) on the system as a whole."""
    return who.is_superuser or action in who.granted_system()


def role_actions(roles: frozenset[int] | set[int] | list[int]) -> frozenset[str]:
    """The union of what several roles allow."""
    return frozenset().union(*(ROLE_ACTIONS[role] for role in roles if role in ROLE_ACTIONS))


def highest_role(roles: frozenset[int] | set[int] | list[int]) -> int:
    """The role to show where one must be named; 0 for none."""
    return max(roles, key=lambda role: Rank[Role(role).name], default=0)
