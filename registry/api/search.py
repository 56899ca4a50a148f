"""Finding projects and repositories by name, and counting them."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet, Sum
from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api import parameters
from projects.api.base import ANYONE, ApiView
from projects.api.projects import render as render_project
from projects.api.projects import repository_counts, visible
from projects.models import Project
from projects.services import metadata
from registry.api.repositories import artifact_counts
from registry.models import Blob, Repository

MAX_FOUND = 1000  # of each kind: there are no pages here


class SearchView(ApiView):
    """What the caller may see, by a part of its name."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Response:
        text = parameters.required(request, "q")
        return Response({"project": self._projects(text), "repository": self._repositories(text)})

    def _projects(self, text: str) -> list[dict[str, Any]]:
        rows = visible(self.who).filter(name__contains=text).prefetch_related("metadata").order_by("name")
        found = list(rows[:MAX_FOUND])
        counts = repository_counts(found)
        return [
            {
                **render_project(project, self.who, counts.get(project.pk, 0), detail=False),
                "metadata": metadata.of_project(project),
            }
            for project in found
        ]

    def _repositories(self, text: str) -> list[dict[str, Any]]:
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

    def get(self, request: Request) -> Response:
        everything = self.who.is_superuser
        public = Project.objects.filter(public=True)
        private = self._private()
        shape = {
            "public_project_count": public.count(),
            "public_repo_count": _repositories(public),
            "private_project_count": private.count(),
            "private_repo_count": _repositories(private),
            "total_project_count": 0,
            "total_repo_count": 0,
            "total_storage_consumption": 0,
        }
        if everything:
            shape |= {
                "total_project_count": shape["public_project_count"] + shape["private_project_count"],
                "total_repo_count": shape["public_repo_count"] + shape["private_repo_count"],
                "total_storage_consumption": Blob.objects.aggregate(total=Sum("size"))["total"] or 0,
            }
        return Response(shape)

    def _private(self) -> QuerySet[Project]:
        rows = Project.objects.filter(public=False)
        return rows if self.who.is_superuser else rows.filter(pk__in=_footholds(self.who))


def _footholds(who: Any) -> QuerySet[Any]:
    return Project.objects.filter(who.footing() & Q(public=False)).values("pk")


def _repositories(projects: QuerySet[Project]) -> int:
    return Repository.objects.filter(project__in=projects.values("pk")).count()
