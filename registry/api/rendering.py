"""Artifacts and what belongs to them as the REST API shows them; each kind of thing is loaded once for a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from harborsite.api import parameters
from harborsite.api.answers import Time
from harborsite.api.wire import stamp, without_empty
from harborsite.db.prepared import MOST, prepared_models
from projects.api.labels import ShownLabel
from projects.api.labels import render as render_label
from registry import icons
from registry.models import Artifact, ArtifactChild, ArtifactLabel, Tag
from registry.policies.immutability import Rules
from registry.services import additions


class ShownTag(TypedDict):
    id: int
    repository_id: int
    artifact_id: int
    name: str
    push_time: Time
    pull_time: Time
    immutable: bool


class ShownAccessory(TypedDict):
    id: int
    artifact_id: int
    subject_artifact_id: int
    subject_artifact_digest: str
    subject_artifact_repo: str
    size: int
    digest: str
    type: str
    icon: str
    creation_time: Time


Platform = TypedDict(
    "Platform",
    {
        "architecture": str,
        "os": str,
        "'os.version'": NotRequired[str],
        "OsFeatures": list[str] | None,  # so Harbor spells them
        "variant": NotRequired[str],
    },
)


class ShownReference(TypedDict):
    parent_id: int
    child_id: int
    child_digest: str
    platform: Platform
    urls: list[str] | None
    annotations: NotRequired[dict[str, str]]


class Link(TypedDict):
    href: str
    absolute: bool


class ShownArtifact(TypedDict):
    """Tags, labels and accessories are null where there are none, or none were asked for."""

    id: int
    type: str
    media_type: str
    manifest_media_type: str
    artifact_type: NotRequired[str]
    project_id: int
    repository_id: int
    repository_name: str
    digest: str
    size: int
    icon: str
    push_time: Time
    pull_time: Time
    extra_attrs: NotRequired[dict[str, Any]]
    annotations: NotRequired[dict[str, str]]
    addition_links: NotRequired[dict[str, Link]]
    tags: list[ShownTag] | None
    labels: list[ShownLabel] | None
    accessories: list[ShownAccessory] | None
    references: list[ShownReference] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants to see of each artifact."""

    tags: bool
    labels: bool
    accessories: bool
    immutability: bool

    @classmethod
    def of(cls, request: Request) -> Wanted:
        return cls(
            tags=parameters.flag(request, "with_tag", True),
            labels=parameters.flag(request, "with_label", False),
            accessories=parameters.flag(request, "with_accessory", True),
            immutability=parameters.flag(request, "with_immutable_status", False),
        )


def render_tag(tag: Tag, *, immutable: bool = False) -> ShownTag:
    return {
        "id": tag.pk,
        "repository_id": tag.repository_id,
        "artifact_id": tag.artifact_id,
        "name": tag.name,
        "push_time": stamp(tag.push_time),
        "pull_time": stamp(tag.pull_time),
        "immutable": immutable,
    }


def render_accessory(accessory: Artifact, subject: Artifact) -> ShownAccessory:
    return {
        "id": accessory.pk,
        "artifact_id": accessory.pk,
        "subject_artifact_id": subject.pk,
        "subject_artifact_digest": subject.digest,
        "subject_artifact_repo": subject.repository.name,
        "size": accessory.size,
        "digest": accessory.digest,
        "type": accessory.accessory_type,
        "icon": icons.of_accessory(accessory.accessory_type),
        "creation_time": stamp(accessory.push_time),
    }


def render_artifacts(artifacts: Sequence[Artifact], wanted: Wanted) -> list[ShownArtifact]:
    """The artifacts of a page, with their repositories loaded; a fixed number of queries for each MOST of them."""
    parts = (artifacts[start : start + MOST] for start in range(0, len(artifacts), MOST))
    return [shape for part in parts for shape in _rendered(part, wanted)]


def _rendered(artifacts: Sequence[Artifact], wanted: Wanted) -> list[ShownArtifact]:
    tags = _tags(artifacts, wanted) if wanted.tags else {}
    labels = _labels(artifacts) if wanted.labels else {}
    accessories = _accessories(artifacts) if wanted.accessories else {}
    references = _references([artifact for artifact in artifacts if artifact.is_index])
    shapes = [_core(artifact) for artifact in artifacts]
    for shape in shapes:
        shape["tags"] = tags.get(shape["id"])
        shape["labels"] = labels.get(shape["id"])
        shape["accessories"] = accessories.get(shape["id"])
        shape["references"] = references.get(shape["id"])
    return shapes


def _core(artifact: Artifact) -> ShownArtifact:
    repository = artifact.repository
    shape: ShownArtifact = {
        "id": artifact.pk,
        "type": artifact.type,
        "media_type": artifact.media_type,
        "manifest_media_type": artifact.manifest_media_type,
        "artifact_type": artifact.artifact_type,
        "project_id": repository.project_id,
        "repository_id": repository.pk,
        "repository_name": repository.name,
        "digest": artifact.digest,
        "size": artifact.size,
        "icon": icons.of_type(artifact.type),
        "push_time": stamp(artifact.push_time),
        "pull_time": stamp(artifact.pull_time),
        "extra_attrs": artifact.extra_attrs,
        "annotations": artifact.annotations,
        "addition_links": _links(artifact),
        "tags": None,
        "labels": None,
        "accessories": None,
        "references": None,
    }
    return without_empty(shape, "artifact_type", "extra_attrs", "annotations", "addition_links")


def _links(artifact: Artifact) -> dict[str, Link]:
    project, _, rest = artifact.repository.name.partition("/")
    place = f"/api/v2.0/projects/{project}/repositories/{rest.replace('/', '%252F')}/artifacts/{artifact.digest}"
    return {name: {"href": f"{place}/additions/{name}", "absolute": False} for name in additions.names(artifact)}


def _grouped(pairs: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


def _tags(artifacts: Sequence[Artifact], wanted: Wanted) -> Mapping[int, list[Any]]:
    rules: dict[int, Rules] = {}
    names = {artifact.pk: artifact.repository for artifact in artifacts}
    if wanted.immutability:
        rules = {project: Rules(project) for project in {repository.project_id for repository in names.values()}}

    def immutable(tag: Tag) -> bool:
        repository = names[tag.artifact_id]
        return bool(rules) and rules[repository.project_id].cover(repository.name, tag.name)

    rows: list[Tag] = _tags_of(list(names))
    return _grouped((tag.artifact_id, render_tag(tag, immutable=immutable(tag))) for tag in rows)


@prepared_models
def _tags_of(artifacts: list[int]) -> QuerySet[Tag]:
    return Tag.objects.filter(artifact__in=artifacts).order_by("-push_time", "-pk")


def _labels(artifacts: Sequence[Artifact]) -> Mapping[int, list[Any]]:
    rows: list[ArtifactLabel] = _labels_of([artifact.pk for artifact in artifacts])
    return _grouped((row.artifact_id, render_label(row.label)) for row in rows)


@prepared_models
def _labels_of(artifacts: list[int]) -> QuerySet[ArtifactLabel]:
    return ArtifactLabel.objects.filter(artifact__in=artifacts).select_related("label").order_by("pk")


def _accessories(artifacts: Sequence[Artifact]) -> Mapping[int, list[Any]]:
    subjects = {(artifact.repository_id, artifact.digest): artifact for artifact in artifacts}
    rows: list[Artifact] = _accessories_of(
        list({artifact.repository_id for artifact in artifacts}), [artifact.digest for artifact in artifacts]
    )
    found = [(subjects.get((row.repository_id, row.subject_digest)), row) for row in rows]
    return _grouped((subject.pk, render_accessory(row, subject)) for subject, row in found if subject)


@prepared_models
def _accessories_of(repositories: list[int], digests: list[str]) -> QuerySet[Artifact]:
    rows = Artifact.objects.filter(repository__in=repositories, subject_digest__in=digests).exclude(accessory_type="")
    return rows.defer("manifest").order_by("pk")


def _references(indexes: Sequence[Artifact]) -> Mapping[int, list[Any]]:
    if not indexes:
        return {}
    repositories = {index.pk: index.repository_id for index in indexes}
    children = list(ArtifactChild.objects.filter(artifact__in=indexes).order_by("artifact", "position"))
    rows = Artifact.objects.filter(
        repository__in=set(repositories.values()), digest__in={child.digest for child in children}
    )
    present = {(repository, digest): pk for pk, repository, digest in rows.values_list("pk", "repository", "digest")}
    return _grouped(
        (child.artifact_id, _reference(child, present.get((repositories[child.artifact_id], child.digest), 0)))
        for child in children
    )


def _reference(child: ArtifactChild, child_id: int) -> ShownReference:
    platform = child.platform or {}
    shape: ShownReference = {
        "parent_id": child.artifact_id,
        "child_id": child_id,
        "child_digest": child.digest,
        "platform": {
            "architecture": platform.get("architecture", ""),
            "os": platform.get("os", ""),
            "OsFeatures": platform.get("os.features") or None,
        },
        "urls": child.urls or None,
        "annotations": child.annotations,
    }
    if version := platform.get("os.version"):
        shape["platform"]["'os.version'"] = version
    if variant := platform.get("variant"):
        shape["platform"]["variant"] = variant
    return without_empty(shape, "annotations")
