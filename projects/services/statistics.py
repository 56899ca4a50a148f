"""How much there is, as one visitor may count it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet

from harborsite.principal import Principal
from projects.models import Project


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
    """Two queries."""
    public, private = Project.objects.filter(public=True), Project.objects.filter(public=False)
    if not who.is_superuser:
        private = private.with_footing(who)
    (public_projects, public_repositories), (private_projects, private_repositories) = map(_sizes, (public, private))
    return Statistics(public_projects, private_projects, public_repositories, private_repositories)


def _sizes(projects: QuerySet[Project]) -> tuple[int, int]:
    """How many projects and how many repositories in them."""
    found = projects.aggregate(projects=Count("pk", distinct=True), repositories=Count("repositories"))
    return found["projects"], found["repositories"]
