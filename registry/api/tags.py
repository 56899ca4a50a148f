"""Tags of an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from rest_framework.request import Request

from harborsite.api import body, parameters
from harborsite.api.answers import Created, Done, Paged
from harborsite.api.listing import Listing, listed
from harborsite.api.query import Column, to_number, to_time
from harborsite.errors import BadRequest
from registry.api.artifacts import ArtifactBase
from registry.api.rendering import ShownTag, render_tag
from registry.errors import TagNotFound
from registry.models import Tag
from registry.oci import grammar
from registry.policies.immutability import Rules
from registry.services import tags

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "push_time": Column("push_time", to_time),
    "pull_time": Column("pull_time", to_time),
}


def _of_artifact(artifact: int) -> QuerySet[Tag]:
    return Tag.objects.filter(artifact=artifact)


_LISTING = Listing(_of_artifact, COLUMNS, ("-push_time", "-pk"))


@dataclass(frozen=True, slots=True)
class NewTag:
    name: str


class TagsView(ArtifactBase):
    actions = {"GET": "tag:list", "POST": "tag:create"}

    def get(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Paged[ShownTag]:
        rules = Rules(self.project.pk) if parameters.flag(request, "with_immutable_status", False) else None

        def immutable(tag: Tag) -> bool:
            return rules is not None and rules.cover(self.repository_name, tag.name)

        def render(found: Sequence[Tag]) -> list[ShownTag]:
            return [render_tag(tag, immutable=immutable(tag)) for tag in found]

        return listed(request, _LISTING, render, self.artifact.pk)

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Created:
        name = body.read(request, NewTag).name
        if not grammar.is_tag(name):
            raise BadRequest(f"bad request: invalid tag name: {name[:200]}")
        tags.create(artifact=self.artifact, name=name, actor=self.who)
        return Created()


class TagView(ArtifactBase):
    actions = {"DELETE": "tag:delete"}

    def delete(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str, tag_name: str
    ) -> Done:
        artifact = self.artifact
        tag = Tag.objects.select_related("repository", "artifact").filter(artifact=artifact, name=tag_name).first()
        if tag is None:
            raise TagNotFound(f"tag {tag_name[:200]} attached to artifact {artifact.pk} not found")
        tags.delete(tag=tag, actor=self.who)
        return Done()
