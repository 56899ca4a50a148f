"""Manifests: pushing and reading them. The exact bytes are kept; every other column is derived from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.prepared import BATCH, Change, Insert, Row, columns, instance, prepared, prepared_change
from harborsite.db.retry import retried
from harborsite.principal import Principal
from projects.models import Project
from projects.services import quotas
from registry import signals
from registry.errors import (
    ArtifactNotFound,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    Unsupported,
)
from registry.models import Artifact, ArtifactChild, ArtifactReference, BlobLink, Repository, Tag
from registry.oci import attributes, manifest, media_types
from registry.oci.digest import SHA256, Digest
from registry.oci.manifest import Accessory, Manifest, ManifestError, UnsupportedManifestError
from registry.policies import immutability, trust
from registry.services import blobs, limits
from registry.storage import BlobMissingError, store


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What a pull needs to know, and what counting it needs."""

    artifact_id: int
    repository_id: int
    project_id: int
    tag_id: int | None
    digest: str
    media_type: str
    raw: bytes
    asks_for_signature: bool  # the project does, see `policies.trust`


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push made of a manifest."""

    artifact: Artifact
    subject: Digest | None
    tags: tuple[str, ...]


def find(*, repository_name: str, reference: Digest | str) -> StoredManifest:
    """The manifest behind a digest or a tag; one query. Raises ArtifactNotFound."""
    if isinstance(reference, Digest):
        rows, tag_id = _by_digest(repository_name, str(reference)), None
    else:
        rows = _by_tag(repository_name, reference)
        tag_id = rows[0][-1] if rows else None
    if not rows:
        raise not_found(repository_name, reference)
    artifact_id, repository_id, project_id, digest, media_type, raw, asks = rows[0][:7]
    return StoredManifest(artifact_id, repository_id, project_id, tag_id, digest, media_type, bytes(raw), bool(asks))


@prepared
def _by_digest(repository: str, digest: str) -> QuerySet[Artifact, tuple[Any, ...]]:
    rows = Artifact.objects.order_by().filter(repository__name=repository, digest=digest)
    asks = trust.asked_of("repository__project")
    return rows.values_list(
        "pk", "repository_id", "repository__project_id", "digest", "manifest_media_type", "manifest", asks
    )


@prepared
def _by_tag(repository: str, tag: str) -> QuerySet[Tag, tuple[Any, ...]]:
    rows = Tag.objects.order_by().filter(repository__name=repository, name=tag)
    of_artifact = [f"artifact__{column}" for column in ("digest", "manifest_media_type", "manifest")]
    asks = trust.asked_of("repository__project")
    return rows.values_list("artifact_id", "repository_id", "repository__project_id", *of_artifact, asks, "pk")


def not_found(repository_name: str, reference: Digest | str) -> ArtifactNotFound:
    separator = "@" if isinstance(reference, Digest) else ":"
    return ArtifactNotFound(f"artifact {repository_name}{separator}{reference} not found")


@limits.told
def push(
    *,
    project: Project,
    repository_name: str,
    reference: Digest | str,
    raw: bytes,
    content_type: str,
    actor: Principal | str,
    tags: Collection[str] = (),
) -> Pushed:
    """Store a manifest, under a tag or several, or under its digest alone. Makes the repository if need be.

    A manifest whose configuration is here may lack layers, an index may lack all but one of its children; with
    less than that nothing could be shown or pulled, and it is refused.
    """
    digest = Digest.of(raw, reference.algorithm if isinstance(reference, Digest) else SHA256)
    if isinstance(reference, Digest) and digest != reference:
        raise DigestInvalid(detail={"Digest": str(reference), "Reason": {}})
    names = tuple(dict.fromkeys(tags if isinstance(reference, Digest) else (reference, *tags)))
    parsed = _parse(raw, content_type)
    held = _held(repository_name, parsed)
    _require_enough(repository_name, parsed, held)
    return _write(
        project=project,
        repository_name=repository_name,
        digest=digest,
        raw=raw,
        parsed=parsed,
        links=held,
        extra_attrs=_extra_attrs(parsed),
        tags=names,
        actor=actor,
    )


def _parse(raw: bytes, content_type: str) -> Manifest:
    try:
        return manifest.parse(raw, content_type)
    except UnsupportedManifestError as error:
        raise Unsupported(str(error)) from None
    except ManifestError as error:
        raise ManifestInvalid(str(error)) from None


def _references(parsed: Manifest) -> list[str]:
    """Digests of all blobs that must outlive the manifest; build caches list blobs in an index."""
    listed = (child for child in parsed.children if child.media_type not in media_types.SUPPORTED)
    named = dict.fromkeys(str(blob.digest) for blob in (*parsed.blobs, *parsed.foreign_blobs, *listed))
    return list(named)


def _held(repository_name: str, parsed: Manifest) -> dict[str, int]:
    """Digest to link of those blobs that the repository holds."""
    found: dict[str, int] = {}
    for some in blobs.chunks(_references(parsed), BATCH):
        found.update(_links(repository_name, some))
    return found


@prepared
def _links(repository: str, digests: list[str]) -> QuerySet[BlobLink, Row]:
    links = BlobLink.objects.filter(repository_name=repository, blob__digest__in=digests)
    return links.values_list("blob__digest", "pk")


def _require_enough(repository_name: str, parsed: Manifest, held: Collection[str]) -> None:
    if parsed.config is not None:
        if str(parsed.config.digest) not in held:
            raise ManifestBlobUnknown(detail=str(parsed.config.digest))
        return
    if not parsed.children or held:
        return
    for some in blobs.chunks([str(child.digest) for child in parsed.children]):
        if Artifact.objects.filter(repository__name=repository_name, digest__in=some).exists():
            return
    raise ManifestBlobUnknown(detail=str(parsed.children[0].digest))


def _extra_attrs(parsed: Manifest) -> dict[str, object]:
    """Read from the configuration, which the caller has seen to be linked to the repository."""
    if parsed.config is None or not attributes.wants_config(parsed):
        return {}
    try:
        with store().open(parsed.config.digest) as file:
            content = file.read(attributes.MAX_CONFIG_BYTES + 1)
    except BlobMissingError:
        raise ManifestBlobUnknown(detail=str(parsed.config.digest)) from None
    return attributes.extra_attrs(parsed, content)


@retried
def _write(
    *,
    project: Project,
    repository_name: str,
    digest: Digest,
    raw: bytes,
    parsed: Manifest,
    links: dict[str, int],
    extra_attrs: dict[str, object],
    tags: Sequence[str],
    actor: Principal | str,
) -> Pushed:
    now = timezone.now()
    accessory = next((found for tag in tags or ("",) if (found := parsed.accessory(tag))), None)
    with transaction.atomic():
        quotas.hold(project_id=project.pk)
        immutability.check_push(project=project, repository_name=repository_name, tags=tags)
        _hold_links(project, parsed, links)
        repository = _repository(project, repository_name)
        artifact = _artifact(repository, digest)
        if created := artifact is None:
            values = _columns(parsed, accessory, extra_attrs) | {"repository_id": repository.pk, "digest": str(digest)}
            key = _add_artifact(**values, manifest=raw, push_time=now)
            artifact = Artifact(pk=key, push_time=now, **values)
            _add_details(artifact, parsed)
            _charge(project, artifact, len(raw))
        else:
            _update(artifact, accessory, now)
        for name in tags:
            _point(repository, name, artifact, now)
        _record(project, repository, artifact, tags, actor)
        signals.announce(
            signals.artifact_pushed,
            Artifact,
            artifact_id=artifact.pk,
            repository=repository_name,
            digest=artifact.digest,
            tags=tuple(tags),
            created=created,
            project_id=project.pk,
            username=audit.name_of(actor),
        )
    return Pushed(artifact, parsed.subject.digest if parsed.subject else None, tuple(tags))


def _repository(project: Project, name: str) -> Repository:
    """The repository, made by its first manifest."""
    if found := _repositories(name):
        return instance(Repository, found[0])
    return Repository.objects.create(name=name, project=project)


def _artifact(repository: Repository, digest: Digest) -> Artifact | None:
    if found := _artifacts(repository.pk, str(digest)):
        return Artifact.objects.defer("manifest").get(pk=found[0][0])
    return None


@prepared
def _repositories(name: str) -> QuerySet[Repository, Row]:
    return Repository.objects.order_by().filter(name=name).values_list(*columns(Repository))


@prepared
def _artifacts(repository: int, digest: str) -> QuerySet[Artifact, Row]:
    return Artifact.objects.order_by().filter(repository=repository, digest=digest).values_list("pk")


_add_artifact, _add_reference, _add_tag = Insert(Artifact), Insert(ArtifactReference), Insert(Tag)


def _hold_links(project: Project, parsed: Manifest, links: dict[str, int]) -> None:
    """Lock the links until the references to them are written, or garbage collection might drop them meanwhile."""
    pks = sorted(links.values())
    counted: dict[int, bool] = {}
    for some in blobs.chunks(pks, BATCH):
        counted.update(_locked_links(some))
    missing = next((digest for digest, pk in links.items() if pk not in counted), None)
    if missing is not None:
        raise ManifestBlobUnknown(detail=missing)
    if not all(counted.values()):
        blobs.count_again(project=project, links=pks)


@prepared
def _locked_links(pks: list[int]) -> QuerySet[BlobLink, Row]:
    return BlobLink.objects.select_for_update().filter(pk__in=pks).order_by("pk").values_list("pk", "counted")


def _columns(parsed: Manifest, accessory: Accessory | None, extra_attrs: dict[str, object]) -> dict[str, object]:
    return {
        "manifest_media_type": parsed.manifest_media_type,
        "media_type": parsed.media_type,
        "artifact_type": parsed.artifact_type,
        "type": parsed.type,
        "size": parsed.size,
        "extra_attrs": extra_attrs,
        "annotations": dict(parsed.annotations),
        "subject_digest": str(accessory.subject) if accessory else "",
        "accessory_type": accessory.type if accessory else "",
    }


def _add_details(artifact: Artifact, parsed: Manifest) -> None:
    """The rows below a new artifact; an index is as large as its children that are here."""
    if parsed.children:
        sizes: dict[str, int] = {}
        for some in blobs.chunks([str(child.digest) for child in parsed.children]):
            found = Artifact.objects.filter(repository=artifact.repository_id, digest__in=some)
            sizes.update(found.values_list("digest", "size"))
        artifact.size += sum(sizes.values())
        artifact.save(update_fields=["size"])
    for digest in _references(parsed):
        _add_reference(artifact_id=artifact.pk, digest=digest)
    ArtifactChild.objects.bulk_create(
        ArtifactChild(
            artifact=artifact,
            position=position,
            digest=str(child.digest),
            platform=child.platform.as_json() if child.platform else {},
            annotations=dict(child.annotations),
            urls=list(child.urls),
        )
        for position, child in enumerate(parsed.children)
    )


def _charge(project: Project, artifact: Artifact, size: int) -> None:
    """The quota counts equal manifests of a project's repositories once, as it does blobs."""
    if not _others(artifact.digest, project.pk, artifact.pk):
        quotas.charge(project=project, size=size)


@prepared
def _others(digest: str, project: int, artifact: int) -> QuerySet[Artifact, Row]:
    same = Artifact.objects.order_by().filter(digest=digest, repository__project=project)
    return same.exclude(pk=artifact).values_list("pk")[:1]


def _update(artifact: Artifact, accessory: Accessory | None, now: datetime) -> None:
    """A manifest that was here before: pushed again, and perhaps by a tag that makes it a signature."""
    artifact.push_time = now
    if accessory and not artifact.subject_digest:
        artifact.subject_digest, artifact.accessory_type = str(accessory.subject), accessory.type
    artifact.save(update_fields=["push_time", "subject_digest", "accessory_type"])


def _point(repository: Repository, name: str, artifact: Artifact, now: datetime) -> None:
    """Make the tag, or move it here."""
    if not _move(repository.pk, name, artifact.pk, now):
        _add_tag(repository_id=repository.pk, name=name, artifact_id=artifact.pk, push_time=now)


@prepared_change
def _move(repository: int, name: str, artifact: int, now: datetime) -> Change:
    return Change(Tag.objects.filter(repository=repository, name=name), {"artifact": artifact, "push_time": now})


def _record(
    project: Project, repository: Repository, artifact: Artifact, tags: Sequence[str], actor: Principal | str
) -> None:
    resources = [f"{repository.name}:{tag}" for tag in tags] or [f"{repository.name}@{artifact.digest}"]
    for resource in resources:
        audit.record(
            actor=actor,
            operation=Operation.CREATE,
            resource_type=ResourceType.ARTIFACT,
            resource=resource,
            project_id=project.pk,
            data={"digest": artifact.digest},
        )
