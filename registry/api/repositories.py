"""Repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from django.db.models import Count, QuerySet
from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Done, Paged, Time
from harborsite.api.listing import Listing, listed
from harborsite.api.query import Column, Exact, to_number, to_time
from harborsite.api.wire import escaped, stamp, without_empty
from harborsite.db.prepared import gathered, prepared, prepared_models
from projects.api.base import ANYONE, ApiView, ProjectView
from registry.errors import RepositoryNotFound
from registry.models import Artifact, BlobLink, Repository
from registry.services import deletes, repositories

COLUMNS = {
    "id": Column("pk", to_number),
    "repository_id": Column("pk", to_number),
    "name": Column("name"),
    "project_id": Column("project_id", to_number),
    "description": Column("description"),
    "pull_count": Column("pull_count", to_number),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class Description:
    description: str = ""


def artifact_counts(found: Sequence[Repository]) -> Mapping[int, int]:
    return dict(gathered(_artifact_counts, [repository.pk for repository in found]))


@prepared
def _artifact_counts(repositories: list[int]) -> QuerySet[Artifact, tuple[int, int]]:
    rows = Artifact.objects.listed().filter(repository__in=repositories).order_by()
    return rows.values_list("repository").annotate(count=Count("pk"))


class ShownRepository(TypedDict):
    id: int
    project_id: int
    name: str
    description: NotRequired[str]
    artifact_count: int
    pull_count: int
    creation_time: Time
    update_time: Time


def render(found: Sequence[Repository]) -> list[ShownRepository]:
    counts = artifact_counts(found)
    return [_render(repository, counts.get(repository.pk, 0)) for repository in found]


def _render(repository: Repository, artifact_count: int) -> ShownRepository:
    shape: ShownRepository = {
        "id": repository.pk,
        "project_id": repository.project_id,
        "name": repository.name,
        "description": escaped(repository.description),
        "artifact_count": artifact_count,
        "pull_count": repository.pull_count,
        "creation_time": stamp(repository.creation_time),
        "update_time": stamp(repository.update_time),
    }
    return without_empty(shape, "description")


def _all() -> QuerySet[Repository]:
    return Repository.objects.all()


def _of_project(project: int) -> QuerySet[Repository]:
    return Repository.objects.filter(project=project)


_NEWEST_FIRST = ("-creation_time", "-pk")
_LISTING = Listing(_all, COLUMNS, _NEWEST_FIRST)
_PROJECT_LISTING = Listing(_of_project, COLUMNS, _NEWEST_FIRST)


def _with_blob(request: Request) -> Callable[[QuerySet[Repository]], QuerySet[Repository]] | None:
    """What `q=blob_digest=…` asks for."""
    term = query.parse(request.GET.get("q", "")).get("blob_digest")
    if not isinstance(term, Exact):
        return None
    holders = BlobLink.objects.filter(blob__digest=term.value).values("repository_name")
    return lambda rows: rows.filter(name__in=holders)


class AllRepositoriesView(ApiView):
    """Those of every project that the caller may see."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Paged[ShownRepository]:
        who, with_blob = self.who, _with_blob(request)

        def narrow(rows: QuerySet[Repository]) -> QuerySet[Repository]:
            visible = rows if who.is_superuser else rows.filter(pk__in=Repository.objects.visible_to(who).values("pk"))
            return with_blob(visible) if with_blob else visible

        return listed(request, _LISTING, render, narrow=narrow if with_blob or not who.is_superuser else None)


class RepositoriesView(ProjectView):
    actions = {"GET": "repository:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownRepository]:
        return listed(request, _PROJECT_LISTING, render, self.project.pk, narrow=_with_blob(request))


class RepositoryView(ProjectView):
    actions = {"GET": "repository:read", "PUT": "repository:update", "DELETE": "repository:delete"}

    def get(self, request: Request, project_name_or_id: str, repository_name: str) -> Answer[ShownRepository]:
        return Answer(render([self._find(repository_name)])[0])

    def put(self, request: Request, project_name_or_id: str, repository_name: str) -> Done:
        repository = self._find(repository_name)
        description = body.read(request, Description).description
        repositories.describe(repository=repository, description=description, actor=self.who)
        return Done()

    def delete(self, request: Request, project_name_or_id: str, repository_name: str) -> Done:
        deletes.delete_repository(repository=self._find(repository_name), actor=self.who)
        return Done()

    def _find(self, name: str) -> Repository:
        full = f"{self.project.name}/{name}"
        found: list[Repository] = _named(self.project.pk, full)
        if not found:
            raise RepositoryNotFound(f"repository {full[:300]} not found")
        return found[0]


@prepared_models
def _named(project: int, name: str) -> QuerySet[Repository]:
    return Repository.objects.order_by().select_related("project").filter(project=project, name=name)
