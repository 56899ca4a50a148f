"""Garbage collection: its schedule, its runs and their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from rest_framework.request import Request

from harborsite.api import parameters
from harborsite.api.answers import Answer, Paged
from harborsite.api.paging import paged
from harborsite.errors import BadRequest, NotFound
from harborsite.jobs.kinds import GARBAGE_COLLECTION
from projects.api import jobs
from projects.api.base import ApiView
from registry.models import Artifact, Repository, Tag
from registry.services import gc, preview, usage


class Garbage(jobs.JobBase):
    """What is the same for every route of garbage collection."""

    vendor_type = GARBAGE_COLLECTION
    place = "system/gc"

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Flags that are not given are off."""
        workers = given.get("workers", 1)
        if type(workers) is not int or not 1 <= workers <= gc.MAX_WORKERS:
            raise BadRequest(
                f"Error: Invalid number of workers:{str(workers)[:20]}. Workers must be greater than 0 and less than "
                "or equal to 10."
            )
        flags = {name: given.get(name) is True for name in ("delete_untagged", "delete_tag", "dry_run")}
        return {**flags, "workers": workers}


class GarbageScheduleView(Garbage, jobs.JobScheduleView):
    actions = {
        "GET": "garbage-collection:read",
        "POST": "garbage-collection:create",
        "PUT": "garbage-collection:update",
    }


class GarbageRunsView(Garbage, jobs.JobRunsView):
    actions = {"GET": "garbage-collection:list"}


class GarbageRunView(Garbage, jobs.JobRunView):
    actions = {"GET": "garbage-collection:read", "PUT": "garbage-collection:stop"}


class GarbageLogView(Garbage, jobs.JobLogView):
    actions = {"GET": "garbage-collection:read"}


class GarbagePreviewView(ApiView):
    """What a run would free if it began now; not in Harbor."""

    actions = {"GET": "garbage-collection:read"}

    def get(self, request: Request) -> Answer[preview.Preview]:
        delete_untagged = parameters.flag(request, "delete_untagged", False)
        return Answer(preview.compute(delete_untagged=delete_untagged, grace=gc.GRACE))


class ShownFootprint(TypedDict):
    digest: str
    tags: list[str]
    exclusive: int
    shared: int


class RepositoryFootprintView(ApiView):
    """What each artifact of a repository, named in full, would free if it alone went; not in Harbor."""

    actions = {"GET": "garbage-collection:read"}

    def get(self, request: Request) -> Paged[ShownFootprint]:
        name = parameters.required(request, "repository")
        repository = Repository.objects.filter(name=name).first()
        if repository is None:
            raise NotFound(f"repository {name[:256]} not found")
        rows = Artifact.objects.listed().filter(repository=repository).defer("manifest").order_by("-push_time", "-pk")
        return paged(request, rows, lambda found: self._render(repository, found))

    def _render(self, repository: Repository, found: Sequence[Artifact]) -> list[ShownFootprint]:
        keys = [artifact.pk for artifact in found]
        footprints = usage.of_artifacts(repository.pk, keys)
        tags: dict[int, list[str]] = {}
        for artifact, name in Tag.objects.filter(artifact__in=keys).order_by("name").values_list("artifact_id", "name"):
            tags.setdefault(artifact, []).append(name)
        return [
            {
                "digest": artifact.digest,
                "tags": tags.get(artifact.pk, []),
                "exclusive": footprint.exclusive,
                "shared": footprint.shared,
            }
            for artifact in found
            if (footprint := footprints.get(artifact.pk)) is not None
        ]
