"""Who is asking: what users, robot accounts and anonymous visitors have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from django.db.models import Q

if TYPE_CHECKING:
    from projects.models import Project


class Principal(Protocol):
    """Met by `User`, `Robot` and `Anonymous`; rights are asked of `projects.permissions`, never of these directly."""

    @property
    def username(self) -> str:
        """The name in tokens and in the audit log; empty for nobody."""

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def is_superuser(self) -> bool: ...

    def footing(self) -> Q:
        """Which projects this principal has a role or a grant in, as a filter on Project."""

    def granted_in(self, project: Project) -> frozenset[str]:
        """The actions granted in `project` by roles or grants, beside what a public project gives to everyone."""

    def granted_system(self) -> frozenset[str]:
        """The actions granted on the system as a whole, beside what an administrator may do."""


class Anonymous:
    """A visitor who is not signed in; DRF's unauthenticated user as well."""

    pk = None
    username = ""
    is_authenticated = False
    is_anonymous = True
    is_active = False
    is_staff = False
    is_superuser = False

    def footing(self) -> Q:
        return Q(pk__in=[])

    def granted_in(self, project: Project) -> frozenset[str]:
        return frozenset()

    def granted_system(self) -> frozenset[str]:
        return frozenset()
