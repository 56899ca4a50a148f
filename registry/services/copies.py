"""Copying an artifact to another repository: manifests are pushed again, blobs are linked and not moved."""

from __future__ import annotations

from collections.abc import Iterator

from harborsite.errors import Denied
from harborsite.principal import Principal
from projects.models import Project
from registry.models import Artifact, ArtifactReference, Repository, Tag
from registry.oci.digest import Digest
from registry.services import blobs, manifests


def copy(*, source: Artifact, project: Project, repository_name: str, actor: Principal) -> None:
    """Copy `source` with its children, all of its tags and everything that refers to it.

    Each manifest is a push of its own, in the order in which they need each other: whatever breaks off in between
    leaves something that can be pulled, and a second try completes it.
    """
    if source.is_accessory:
        raise Denied("the operation isn't supported for an artifact accessory")
    for artifact in _in_order(source):
        _copy_one(artifact, project, repository_name, actor)


def _in_order(first: Artifact) -> Iterator[Artifact]:
    """Children before their index, accessories after their subject; each once."""
    seen: set[int] = set()

    def visit(artifact: Artifact) -> Iterator[Artifact]:
        if artifact.pk in seen:
            return
        seen.add(artifact.pk)
        rows = Artifact.objects.filter(repository=artifact.repository_id).select_related("repository")
        for child in rows.filter(digest__in=artifact.children.values("digest")):
            yield from visit(child)
        yield artifact
        for accessory in rows.filter(subject_digest=artifact.digest).order_by("pk"):
            yield from visit(accessory)

    return visit(first)


def _copy_one(artifact: Artifact, project: Project, repository_name: str, actor: Principal) -> None:
    source: Repository = artifact.repository
    for digest in ArtifactReference.objects.filter(artifact=artifact).values_list("digest", flat=True):
        blobs.mount(project=project, repository_name=repository_name, digest=Digest.parse(digest), source=source.name)
    manifests.push(
        project=project,
        repository_name=repository_name,
        reference=Digest.parse(artifact.digest),
        raw=bytes(artifact.manifest),
        content_type=artifact.manifest_media_type,
        actor=actor,
        tags=list(Tag.objects.filter(artifact=artifact).values_list("name", flat=True)),
    )
