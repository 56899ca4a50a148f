"""Finding projects and repositories by name, and counting them."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from harborsite.api import parameters
from harborsite.api.answers import Answer
from harborsite.db.prepared import prepared_sum
from projects.api.base import ANYONE, ApiView
from projects.api.projects import ShownProject, repository_counts, visible
from projects.api.projects import render as render_project
from projects.services import metadata, statistics
from registry.api.repositories import artifact_counts
from registry.models import Blob, Repository

MAX_FOUND = 1000  # of each kind: there are no pages here


class FoundRepository(TypedDict):
    project_id: int
    project_name: str
    project_public: bool
    repository_name: str
    artifact_count: int
    pull_count: NotRequired[int]


class Found(TypedDict):
    project: list[ShownProject]
    repository: list[FoundRepository]


class Statistics(TypedDict):
    """The totals are for administrators, and 0 for everybody else."""

    public_project_count: int
    public_repo_count: int
    private_project_count: int
    private_repo_count: int
    total_project_count: int
    total_repo_count: int
    total_storage_consumption: int


class SearchView(ApiView):
    """What the caller may see, by a part of its name."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Answer[Found]:
        text = parameters.required(request, "q")
        return Answer({"project": self._projects(text), "repository": self._repositories(text)})

    def _projects(self, text: str) -> list[ShownProject]:
        found = list(visible(self.who).filter(name__contains=text).order_by("name")[:MAX_FOUND])
        counts, settings = repository_counts(found), metadata.of_projects(found)
        return [
            {
                **render_project(project, self.who, counts.get(project.pk, 0)),
                "metadata": settings[project.pk],
            }
            for project in found
        ]

    def _repositories(self, text: str) -> list[FoundRepository]:
        rows = Repository.objects.visible_to(self.who).filter(name__icontains=text).select_related("project")
        found = list(rows.order_by("name")[:MAX_FOUND])
        counts = artifact_counts(found)
        return [
            {
                "project_id": repository.project_id,
                "project_name": repository.project.name,
                "project_public": repository.project.public,
                "repository_name": repository.name,
                "artifact_count": counts.get(repository.pk, 0),
            }
            for repository in found
        ]


class StatisticsView(ApiView):
    """How much there is: what is public for everybody, one's own private share, all of it for administrators."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Answer[Statistics]:
        found = statistics.count(self.who)
        everything = self.who.is_superuser
        return Answer(
            {
                "public_project_count": found.public_projects,
                "public_repo_count": found.public_repositories,
                "private_project_count": found.private_projects,
                "private_repo_count": found.private_repositories,
                "total_project_count": found.projects if everything else 0,
                "total_repo_count": found.repositories if everything else 0,
                "total_storage_consumption": _bytes_stored() if everything else 0,
            }
        )


@prepared_sum("size")
def _bytes_stored() -> QuerySet[Blob]:
    """Every blob once."""
    return Blob.objects.all()
