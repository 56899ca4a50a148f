"""This registry as the source or the target of a copy: rows and bytes through its services, no HTTP to ourselves."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

from django.utils.translation import gettext as _

from harborsite.errors import Denied
from harborsite.outbound import Reader
from projects import params
from projects.errors import ProjectExists
from projects.models import Project, User
from projects.services import lifecycle
from registry.errors import ArtifactNotFound, BlobUnknown, BlobUploadUnknown
from registry.models import Artifact, ArtifactLabel, BlobLink, BlobUpload, Repository, Tag
from registry.oci.digest import Digest
from registry.oci.manifest import Descriptor
from registry.services import blobs, deletes, manifests, tags, uploads
from registry.storage import store
from replication.adapters.base import RESUMABLE_BYTES, Closing, Content, Listing, RawManifest, tagged_accessories
from replication.errors import UnfitContent
from replication.filters import Candidate, Filters
from replication.namespaces import AT_LEAST_TWO


class Local(Closing):
    """Source and target at once. `actor` is whose writes these are, and the owner of projects that are made."""

    looks_are_cheap = True
    writes = False
    name_parts = AT_LEAST_TWO

    def __init__(self, actor: User) -> None:
        self._actor = actor
        self._projects: dict[str, Project] = {}
        self._accessories: dict[str, tuple[dict[str, list[Candidate]], frozenset[str]]] = {}

    def close(self) -> None:
        """Nothing is open."""

    # --- reading

    def listings(self, filters: Filters) -> Iterator[Listing]:
        rows = Repository.objects.select_related("project").order_by("name")
        for prefix in filters.name_prefixes():
            for repository in rows.filter(name__startswith=prefix) if prefix else rows:
                if filters.means_repository(repository.name):
                    shown = Artifact.objects.filter(repository=repository).listed()
                    yield _listing(repository, _candidates(shown, filters), filters)

    def listing(self, repository: str, filters: Filters, digest: str) -> Listing | None:
        """The artifact of an event; for a signature or the like, what it belongs to."""
        artifact = _artifact(repository, digest)
        while artifact is not None and artifact.subject_digest:
            artifact = _artifact(repository, artifact.subject_digest)
        if artifact is None or not filters.means_repository(repository):
            return None
        shown = Artifact.objects.filter(pk=artifact.pk).listed()
        return _listing(artifact.repository, _candidates(shown, filters), filters)

    def digest_of(self, repository: str, reference: str) -> Digest | None:
        if ":" in reference:
            found = Artifact.objects.filter(repository__name=repository, digest=reference)
            digest = found.values_list("digest", flat=True).first()
        else:
            tagged = Tag.objects.filter(repository__name=repository, name=reference)
            digest = tagged.values_list("artifact__digest", flat=True).first()
        return Digest.parse(digest) if digest else None

    def manifest(self, repository: str, reference: str) -> RawManifest | None:
        wanted = Digest.parse(reference) if ":" in reference else reference
        try:
            stored = manifests.find(repository_name=repository, reference=wanted)
        except ArtifactNotFound:
            return None
        return RawManifest(stored.raw, stored.media_type, Digest.parse(stored.digest))

    def blob(self, repository: str, digest: Digest) -> Content:
        def opened(start: int) -> AbstractContextManager[Reader]:
            return store().open(digest, start)

        return opened

    def accessories(self, repository: str, digest: Digest) -> list[Candidate]:
        """Looked up once for the repository; what is pushed from then on starts its own copy."""
        if repository not in self._accessories:
            self._accessories[repository] = _accessories(repository), _reserved_tags(repository)
        by_subject, reserved = self._accessories[repository]
        found = by_subject.get(str(digest), [])
        known = {tag for each in found for tag in each.tags}
        by_name = [tag for tag in tagged_accessories(digest, reserved) if tag not in known]
        return [*found, *(Candidate("", (tag,)) for tag in by_name)]

    def other_holders(self, repository: str, digests: Iterable[str]) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for some in blobs.chunks(list(digests)):
            rows = BlobLink.objects.filter(blob__digest__in=some).exclude(repository_name=repository)
            for digest, name in rows.order_by("repository_name").values_list("blob__digest", "repository_name"):
                found[digest].append(name)
        return found

    # --- writing

    def prepare(self, repository: str, *, public: bool) -> None:
        """Make the project if it is not there; of tasks that need the same one, one makes it."""
        if params.get(params.READ_ONLY):
            raise Denied(_("The system is in read only mode. Any modification is prohibited."))
        name = repository.partition("/")[0]
        project = Project.objects.filter(name=name).first()
        if project is None:
            try:
                project = lifecycle.create_project(name=name, public=public, actor=self._actor)
            except ProjectExists:
                project = Project.objects.get(name=name)
        self._projects[name] = project

    def is_empty(self, repository: str) -> bool:
        return not Repository.objects.filter(name=repository).exists()

    def has_blob(self, repository: str, digest: Digest) -> bool:
        try:
            held = blobs.find(repository_name=repository, digest=digest)
        except BlobUnknown:
            return False
        blobs.keep(held=held)
        return True

    def mount_from(self, sources: Mapping[str, str]) -> None:
        """Local blobs are found by their digest."""

    def push_blob(
        self, repository: str, blob: Descriptor, content: Content, remembered: MutableMapping[str, str], /
    ) -> int:
        """Bytes that the project, or everybody, may read here already are linked; others must come from the source.

        Linking those of another private project would hand them to whoever can name their digest in a manifest.
        """
        project = self._project(repository)
        mounted = blobs.mount_from_anywhere(
            project=project,
            repository_name=repository,
            digest=blob.digest,
            may_pull=lambda _, holder: holder.public or holder.pk == project.pk,
        )
        if mounted is not None:
            return 0
        if blob.size >= RESUMABLE_BYTES:
            return self._receive(project, repository, blob, content, remembered)
        with content(0) as stream:
            uploads.put(
                project=project,
                repository_name=repository,
                digest=blob.digest,
                stream=cast(BinaryIO, stream),
                announced=blob.size,
            )
        return blob.size

    def _receive(
        self,
        project: Project,
        repository: str,
        blob: Descriptor,
        content: Content,
        remembered: MutableMapping[str, str],
    ) -> int:
        """Go on where an earlier try broke off. Bytes that turn out wrong are thrown away."""
        key = str(blob.digest)
        upload = self._begun(repository, remembered.get(key, ""))
        if upload is None:
            upload = uploads.start(project=project, repository_name=repository, actor=self._actor)
            remembered[key] = str(upload.pk)
        start = uploads.received(upload=upload)
        if start < blob.size:
            try:
                with content(start) as stream:
                    uploads.append(upload=upload, stream=cast(BinaryIO, stream), start=start)
            except UnfitContent:
                del remembered[key]
                uploads.cancel(upload=upload)
                raise
            upload.refresh_from_db()
        remembered.pop(key, None)
        uploads.finish(upload=upload, digest=blob.digest, stream=None, start=None, project=project)
        return blob.size - start

    def _begun(self, repository: str, upload_id: str) -> BlobUpload | None:
        try:
            return uploads.get(upload_id=uuid.UUID(upload_id), repository_name=repository, actor=self._actor)
        except (ValueError, BlobUploadUnknown):
            return None

    def push_manifest(self, repository: str, manifest: RawManifest, names: Sequence[str], /) -> None:
        manifests.push(
            project=self._project(repository),
            repository_name=repository,
            reference=manifest.digest,
            raw=manifest.raw,
            content_type=manifest.media_type,
            actor=self._actor,
            tags=names,
        )

    def list_accessory(self, repository: str, subject: Digest, accessory: dict[str, Any]) -> None:
        """The registry finds what refers to a manifest by itself."""

    def delete_artifact(self, repository: str, digest: Digest) -> None:
        artifact = _artifact(repository, str(digest))
        if artifact is not None:
            deletes.delete_artifact(artifact=artifact, actor=self._actor)

    def delete_tag(self, repository: str, tag: str) -> None:
        found = Tag.objects.select_related("repository", "artifact").filter(repository__name=repository, name=tag)
        for row in found:
            tags.delete(tag=row, actor=self._actor)

    def _project(self, repository: str) -> Project:
        return self._projects[repository.partition("/")[0]]


def _artifact(repository: str, digest: str) -> Artifact | None:
    rows = Artifact.objects.select_related("repository__project").defer("manifest")
    return rows.filter(repository__name=repository, digest=digest).first()


def _accessories(repository: str) -> dict[str, list[Candidate]]:
    """All of a repository's, by the digest of what they belong to."""
    rows = Artifact.objects.filter(repository__name=repository).exclude(subject_digest="").order_by("pk")
    names = _tags_of(rows.values("pk"))
    found: dict[str, list[Candidate]] = defaultdict(list)
    for pk, digest, subject in rows.values_list("pk", "digest", "subject_digest"):
        found[subject].append(Candidate(digest, tuple(names[pk])))
    return found


def _reserved_tags(repository: str) -> frozenset[str]:
    """Tags that may say what they belong to: they begin with the name of a digest's algorithm."""
    rows = Tag.objects.filter(repository__name=repository, name__startswith="sha")
    return frozenset(rows.values_list("name", flat=True))


def _listing(repository: Repository, found: Iterable[Candidate], filters: Filters) -> Listing:
    selected = (filters.select(candidate) for candidate in found)
    artifacts = [candidate for candidate in selected if candidate is not None]
    return Listing(repository.name, artifacts, repository.project.public)


def _candidates(rows: Any, filters: Filters) -> Iterator[Candidate]:
    """What a source says of its artifacts, in three queries at most, oldest first."""
    names = _tags_of(rows.values("pk"))
    labels: dict[int, set[str]] = defaultdict(set)
    if filters.by_label:
        carried = ArtifactLabel.objects.filter(artifact__in=rows.values("pk"))
        for pk, label in carried.values_list("artifact_id", "label__name"):
            labels[pk].add(label)
    for pk, digest, kind in rows.order_by("push_time", "pk").values_list("pk", "digest", "type"):
        yield Candidate(digest, tuple(names[pk]), frozenset(labels[pk]), kind)


def _tags_of(artifacts: Any) -> dict[int, list[str]]:
    names: dict[int, list[str]] = defaultdict(list)
    rows = Tag.objects.filter(artifact__in=artifacts).order_by("name")
    for pk, name in rows.values_list("artifact_id", "name"):
        names[pk].append(name)
    return names
