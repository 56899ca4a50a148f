"""How much there is, as one visitor may count it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum

from harborsite.db.prepared import prepared
from harborsite.principal import Principal
from projects.models import Project, Quota, User


@dataclass(frozen=True, slots=True)
class Statistics:
    """Public ones are everybody's; private ones are those that the visitor has a role in, for administrators all."""

    public_projects: int
    private_projects: int
    public_repositories: int
    private_repositories: int

    @property
    def projects(self) -> int:
        return self.public_projects + self.private_projects

    @property
    def repositories(self) -> int:
        return self.public_repositories + self.private_repositories


def count(who: Principal) -> Statistics:
    """One query."""
    rows = _everything() if who.is_superuser else _sizes(Project.objects.visible_to(who))
    sizes = {public: (projects, repositories) for public, projects, repositories in rows}
    (private_projects, private_repositories), (public_projects, public_repositories) = (
        sizes.get(public, (0, 0)) for public in (False, True)
    )
    return Statistics(public_projects, private_projects, public_repositories, private_repositories)


def stored(who: Principal) -> int | None:
    """Bytes in the projects that the visitor has a role in, for administrators in all; None for visitors."""
    if not isinstance(who, User):
        return None
    rows = Quota.objects.all() if who.is_superuser else Quota.objects.filter(project__in=list(who.memberships))
    return rows.aggregate(bytes=Sum("used"))["bytes"] or 0


def _sizes(projects: QuerySet[Project]) -> QuerySet[Project, tuple[bool, int, int]]:
    """How many private and how many public projects there are, and how many repositories in them."""
    numbers = {"projects": Count("pk", distinct=True), "held": Count("repositories")}
    return projects.order_by().values_list("public").annotate(**numbers)


@prepared
def _everything() -> QuerySet[Project, tuple[bool, int, int]]:
    return _sizes(Project.objects.all())
