"""Deleting artifacts, repositories and blobs: rows at once, bytes with garbage collection.

Deleting is never refused for lack of quota, and gives the quota back in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Length

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.retry import retried
from harborsite.principal import Principal
from projects.services import quotas
from registry import signals
from registry.errors import ReferencedByOthers
from registry.models import Artifact, ArtifactChild, ArtifactReference, Repository, Tag
from registry.policies import immutability
from registry.services import blobs

PIECE = 200  # artifacts of a repository that go in one transaction


@retried
def delete_artifact(*, artifact: Artifact, actor: Principal | str) -> None:
    """Delete a manifest with all its tags and accessories; of an index, also the children that nothing else needs.

    An artifact that an index lists is refused.
    """
    repository = artifact.repository
    with transaction.atomic():
        quotas.hold(project_id=repository.project_id)
        if _is_listed(repository, artifact.digest, but_not_by=()):
            raise ReferencedByOthers
        _delete(repository, with_dependents(artifact), actor)


def untagged(*, pushed_before: datetime) -> QuerySet[Artifact]:
    """Artifacts that nobody can name but by digest: no tag, no index, no living subject keeps them."""
    same_place = Q(repository=OuterRef("repository"))
    subject = Artifact.objects.filter(same_place, digest=OuterRef("subject_digest"))
    listing = ArtifactChild.objects.filter(artifact__repository=OuterRef("repository"), digest=OuterRef("digest"))
    rows = Artifact.objects.filter(tags=None, push_time__lt=pushed_before).defer("manifest")
    return rows.exclude(Exists(listing)).exclude(Exists(subject))


@retried
def delete_untagged(*, artifact: Artifact, pushed_before: datetime, actor: Principal | str) -> int:
    """Delete an artifact that is still untagged, with what hangs on it; returns how many manifests went."""
    with transaction.atomic():
        quotas.hold(project_id=artifact.repository.project_id)
        Artifact.objects.select_for_update().filter(pk=artifact.pk).values_list("pk").first()
        if not untagged(pushed_before=pushed_before).filter(pk=artifact.pk).exists():
            return 0
        doomed = with_dependents(artifact, pushed_before=pushed_before)
        _delete(artifact.repository, doomed, actor)
    return len(doomed)


def delete_repository(*, repository: Repository, actor: Principal | str) -> None:
    """Delete everything in the repository, and the repository.

    A large one goes in pieces, so that others write in between: the newest first, as an index is newer than what it
    lists. One that a crash broke off is gone on with by deleting it again.
    """
    immutability.check_delete(repository=repository, tags=repository.tags.values_list("name", flat=True))
    _delete_piece(repository, actor, is_first=True)
    while Repository.objects.filter(pk=repository.pk).exists():
        _delete_piece(repository, actor, is_first=False)


@retried
def _delete_piece(repository: Repository, actor: Principal | str, *, is_first: bool) -> None:
    """Delete some of the repository's artifacts; after the last of them let some blobs go; then the repository itself.

    The first piece says who did it.
    """
    with transaction.atomic():
        quotas.hold(project_id=repository.project_id)
        newest = Artifact.objects.filter(repository=repository).defer("manifest").order_by("-pk")
        doomed = list(newest[:PIECE])
        _delete(repository, doomed, actor, repository_goes=True)
        if is_first:
            audit.record(
                actor=actor,
                operation=Operation.DELETE,
                resource_type=ResourceType.REPOSITORY,
                resource=repository.name,
                project_id=repository.project_id,
            )
        if len(doomed) < PIECE and not blobs.let_some_go(project=repository.project, repository_name=repository.name):
            Repository.objects.filter(pk=repository.pk).delete()
            names = {"repository": repository.name, "project_id": repository.project_id}
            signals.announce(signals.repository_deleted, Repository, **names)


def _is_listed(repository: Repository, digest: str, *, but_not_by: Sequence[int]) -> bool:
    """Whether an index of the repository lists `digest`, beside those that are about to go."""
    listed = ArtifactChild.objects.filter(artifact__repository=repository, digest=digest)
    return listed.exclude(artifact__in=but_not_by).exists()


def with_dependents(first: Artifact, *, pushed_before: datetime | None = None) -> list[Artifact]:
    """`first`, its accessories and theirs, and children that are untagged and not listed elsewhere.

    Children pushed later than `pushed_before` stay: a new index that lists them may be on its way.
    """
    repository = first.repository
    rows = Artifact.objects.filter(repository=repository).defer("manifest")
    settled = rows.filter(push_time__lt=pushed_before) if pushed_before else rows
    doomed = {first.pk: first}
    queue = [first]
    while queue:
        current = queue.pop()
        dependents = list(rows.filter(subject_digest=current.digest))
        children = ArtifactChild.objects.filter(artifact=current).values_list("digest", flat=True)
        for some in blobs.chunks(list(children)):
            unnamed = settled.filter(digest__in=some, tags=None)
            dependents += [one for one in unnamed if not _is_listed(repository, one.digest, but_not_by=list(doomed))]
        for one in dependents:
            if one.pk not in doomed:
                doomed[one.pk] = one
                queue.append(one)
    return list(doomed.values())


def _delete(
    repository: Repository, doomed: Sequence[Artifact], actor: Principal | str, *, repository_goes: bool = False
) -> None:
    """Remove the artifacts and say so, in the caller's transaction; of a repository that goes, only the webhooks and
    replications are told of each.
    """
    tags = _tags_of(doomed)
    immutability.check_delete(repository=repository, tags=(name for names in tags.values() for name in names))
    _drop(repository, doomed, repository_goes=repository_goes)
    for artifact in () if repository_goes else doomed:
        audit.record(
            actor=actor,
            operation=Operation.DELETE,
            resource_type=ResourceType.ARTIFACT,
            resource=f"{repository.name}@{artifact.digest}",
            project_id=repository.project_id,
            data={"digest": artifact.digest},
        )
    signals.artifacts_deleted.send(
        sender=Artifact,
        project_id=repository.project_id,
        repository=repository.name,
        repository_goes=repository_goes,
        artifacts=[signals.Gone(artifact.digest, tuple(tags.get(artifact.pk, ()))) for artifact in doomed],
        username=audit.name_of(actor),
    )


def _tags_of(doomed: Sequence[Artifact]) -> dict[int, list[str]]:
    tags: dict[int, list[str]] = {}
    for some in blobs.chunks([artifact.pk for artifact in doomed]):
        rows = Tag.objects.filter(artifact__in=some).order_by("name")
        for artifact_id, name in rows.values_list("artifact_id", "name"):
            tags.setdefault(artifact_id, []).append(name)
    return tags


def _drop(repository: Repository, doomed: Sequence[Artifact], *, repository_goes: bool) -> None:
    """Remove the rows and give the quota back what no other artifact of the project holds."""
    pks = [artifact.pk for artifact in doomed]
    needed: set[str] = set()
    for some in () if repository_goes else blobs.chunks(pks):
        needed.update(ArtifactReference.objects.filter(artifact__in=some).values_list("digest", flat=True))
    freed = sum(_manifest_bytes_freed(repository, some) for some in blobs.chunks(pks))
    for some in blobs.chunks(pks):
        Artifact.objects.filter(pk__in=some).delete()
    if freed:
        quotas.release(project=repository.project, size=freed)
    blobs.let_go(project=repository.project, repository_name=repository.name, digests=needed)


def _manifest_bytes_freed(repository: Repository, pks: Sequence[int]) -> int:
    going = Artifact.objects.filter(pk__in=pks)
    kept = Artifact.objects.filter(
        repository__project=repository.project_id, digest__in=going.values_list("digest", flat=True)
    ).exclude(repository=repository)
    total = going.exclude(digest__in=kept.values_list("digest", flat=True)).aggregate(size=Sum(Length("manifest")))
    return total["size"] or 0
