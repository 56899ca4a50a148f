"""Garbage collection against everything else, in any order, with crashes and interruptions at every step.

A model of what was acknowledged walks along: what it holds must be there, byte for byte, at every moment; and after
time has passed and a collection has run undisturbed, nothing else may be left. `RACES=500` looks further than CI does.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.models import AuditLog
from projects.models import Project, Quota, User
from projects.services import quotas
from registry import storage
from registry.errors import BlobBusy, BlobUnknown, ManifestBlobUnknown, ReferencedByOthers, TagExists
from registry.models import Artifact, ArtifactReference, Blob, BlobLink, BlobUpload, Repository, Tag
from registry.oci.digest import Digest
from registry.services import blobs, check, copies, deletes, gc, manifests, tags, uploads
from registry.storage.filesystem import FilesystemStore
from tests import images
from tests.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Manifest, index_of
from tests.registry.points import Killed, Points, before, kill

REPOSITORIES = ("library/app", "library/web", "commons/app")
TAGS = ("a", "b", "c")
CONFIGS = [images.Blob(OCI_CONFIG, json.dumps({"architecture": name, "os": "linux"}).encode()) for name in ("x", "y")]
LAYERS = [images.Blob(OCI_LAYER, b"layer %d" % number) for number in range(4)]


def image_of(config: int, *layers: int, subject: Manifest | None = None) -> Manifest:
    chosen = [LAYERS[number] for number in layers]
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": CONFIGS[config].descriptor,
        "layers": [blob.descriptor for blob in chosen],
    }
    if subject:
        manifest["subject"] = subject.descriptor
    return Manifest(OCI_MANIFEST, json.dumps(manifest).encode(), (CONFIGS[config], *chosen))


IMAGES = [image_of(0, 0), image_of(0, 0, 1), image_of(1, 1, 2), image_of(1, 3)]
MANIFESTS = [*IMAGES, index_of(IMAGES[0], IMAGES[2]), index_of(IMAGES[2], IMAGES[3]), image_of(0, 3, subject=IMAGES[1])]
CONTENT = {blob.digest: blob.data for blob in (*CONFIGS, *LAYERS)}

repositories, names = st.sampled_from(REPOSITORIES), st.sampled_from(TAGS)
contents, somewhere = st.sampled_from([*CONFIGS, *LAYERS]), st.integers(0, 15)


class Registry(RuleBasedStateMachine):
    """What clients, administrators and time do to two projects."""

    root: ClassVar[Path]
    points: ClassVar[Points]

    @initialize()
    def begin(self) -> None:
        with transaction.atomic():
            for model in (ArtifactReference, Artifact, Tag, Repository, BlobLink, Blob, BlobUpload, AuditLog):
                model.objects.all().delete()
            Quota.objects.update(used=0)
        shutil.rmtree(self.root, ignore_errors=True)
        storage.store.cache_clear()
        self.artifacts: dict[str, set[str]] = defaultdict(set)
        self.tags: dict[tuple[str, str], str] = {}
        self.moving: tuple[str, str] | None = None  # the tag of a push that is under way

    @cached_property
    def alice(self) -> User:
        return User.objects.get(username="alice")

    def project(self, repository: str) -> Project:
        return Project.objects.get(name=repository.partition("/")[0])

    # --- what clients do --------------------------------------------------------------------------

    @rule(repository=repositories, which=st.sampled_from(MANIFESTS), tag=st.none() | names, asks=st.booleans())
    def push(self, repository: str, which: Manifest, tag: str | None, asks: bool) -> None:
        self._push(repository, which, tag, asks=asks)

    @rule(repository=repositories, which=st.sampled_from(MANIFESTS), tag=names, where=somewhere)
    def push_and_crash(self, repository: str, which: Manifest, tag: str, where: int) -> None:
        before = self._snapshot()
        try:
            with self.points.at(where, kill):
                self._push(repository, which, tag)
        except Killed:
            self.moving = None
            self._read_again()
            assert before[0] <= self._snapshot()[0], "a push lost an artifact"
            assert {key for key, _ in before[1]} <= self.tags.keys(), "a push lost a tag"

    @rule(
        repository=repositories,
        which=st.sampled_from(MANIFESTS),
        tag=names,
        where=somewhere,
        delete_untagged=st.booleans(),
    )
    def push_while_garbage_is_collected(
        self, repository: str, which: Manifest, tag: str, where: int, delete_untagged: bool
    ) -> None:
        """The whole collection runs at some point of the push."""
        with self.points.at(where, lambda: self._collect(delete_untagged)):
            self._push(repository, which, tag)

    def _push(self, repository: str, which: Manifest, tag: str | None, *, asks: bool = True) -> None:
        """As docker does it: ask for each blob, send what is not there, then the manifest.

        Who does not ask knows what is there from before, and sends the manifest alone.
        """
        project = self.project(repository)
        self.moving = (repository, tag) if tag else None
        for part in which.walk():
            for blob in part.blobs:
                self._send(project, repository, blob, asks=asks)
            is_last = part is which and tag is not None
            pushed = manifests.push(
                project=project,
                repository_name=repository,
                reference=tag if is_last and tag else Digest.parse(part.digest),
                raw=part.data,
                content_type=part.media_type,
                actor=self.alice,
            )
            self.artifacts[repository].add(pushed.artifact.digest)
            if is_last and tag:
                self.tags[repository, tag] = part.digest
        self.moving = None

    def _send(self, project: Project, repository: str, blob: images.Blob, *, asks: bool) -> None:
        try:
            held = blobs.find(repository_name=repository, digest=Digest.parse(blob.digest))
            if asks:
                blobs.keep(held=held)
        except BlobUnknown:
            self._upload(project, repository, blob)

    def _upload(self, project: Project, repository: str, blob: images.Blob) -> None:
        for _ in range(3):
            try:
                uploads.put(
                    project=project,
                    repository_name=repository,
                    digest=Digest.parse(blob.digest),
                    stream=io.BytesIO(blob.data),
                    announced=len(blob.data),
                )
            except BlobBusy:  # 503 with Retry-After: clients come back
                continue
            return
        raise AssertionError("a blob stays busy although nobody is at work")

    @rule(repository=repositories, blob=contents)
    def upload(self, repository: str, blob: images.Blob) -> None:
        self._upload(self.project(repository), repository, blob)

    @rule(repository=repositories, blob=contents, where=somewhere)
    def upload_and_crash(self, repository: str, blob: images.Blob, where: int) -> None:
        with suppress(Killed), self.points.at(where % 8, kill):
            self._upload(self.project(repository), repository, blob)

    @rule(repository=repositories, blob=contents)
    def begin_an_upload(self, repository: str, blob: images.Blob) -> None:
        """It stays open, and is given up after a day."""
        upload = uploads.start(project=self.project(repository), repository_name=repository, actor=self.alice)
        uploads.append(upload=upload, stream=io.BytesIO(blob.data[:3]), start=0)

    @rule(repository=repositories, source=repositories, blob=contents)
    def mount(self, repository: str, source: str, blob: images.Blob) -> None:
        blobs.mount(
            project=self.project(repository),
            repository_name=repository,
            digest=Digest.parse(blob.digest),
            source=source,
        )

    @rule(repository=repositories, blob=contents)
    def delete_a_blob_that_nothing_needs(self, repository: str, blob: images.Blob) -> None:
        if ArtifactReference.objects.filter(artifact__repository__name=repository, digest=blob.digest).exists():
            return
        with suppress(BlobUnknown):
            blobs.unlink(project=self.project(repository), repository_name=repository, digest=Digest.parse(blob.digest))

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), name=names)
    def tag(self, data: st.DataObject, name: str) -> None:
        repository, old = data.draw(st.sampled_from(sorted(self.tags)))
        artifact = Artifact.objects.get(repository__name=repository, digest=self.tags[repository, old])
        try:
            tags.create(artifact=artifact, name=name, actor=self.alice)
        except TagExists:
            return
        self.tags[repository, name] = artifact.digest

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def untag(self, data: st.DataObject) -> None:
        repository, name = data.draw(st.sampled_from(sorted(self.tags)))
        tags.delete(tag=Tag.objects.get(repository__name=repository, name=name), actor=self.alice)
        del self.tags[repository, name]

    @precondition(lambda self: any(self.artifacts.values()))
    @rule(data=st.data(), where=st.none() | somewhere)
    def delete(self, data: st.DataObject, where: int | None) -> None:
        chosen = data.draw(st.sampled_from(sorted((r, d) for r, found in self.artifacts.items() for d in found)))
        artifact = Artifact.objects.get(repository__name=chosen[0], digest=chosen[1])
        self._lose(where, lambda: deletes.delete_artifact(artifact=artifact, actor=self.alice))

    @precondition(lambda self: any(self.artifacts.values()))
    @rule(data=st.data(), where=st.none() | somewhere)
    def delete_a_repository(self, data: st.DataObject, where: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, found in self.artifacts.items() if found)))
        repository = Repository.objects.get(name=name)
        self._lose(where, lambda: deletes.delete_repository(repository=repository, actor=self.alice))
        assert where is not None or not self.artifacts[name], "something of the repository is left"

    def _lose(self, where: int | None, delete: Callable[[], None]) -> None:
        before = self._snapshot()
        try:
            with self.points.at(-1 if where is None else where % 3, kill):
                delete()
        except (Killed, ReferencedByOthers):
            pass
        self._read_again()
        after = self._snapshot()
        assert after[0] <= before[0]
        assert after[1] <= before[1]

    @precondition(lambda self: any(self.artifacts.values()))
    @rule(data=st.data(), repository=repositories, where=st.none() | somewhere)
    def copy(self, data: st.DataObject, repository: str, where: int | None) -> None:
        chosen = data.draw(st.sampled_from(sorted((r, d) for r, found in self.artifacts.items() for d in found)))
        source = Artifact.objects.get(repository__name=chosen[0], digest=chosen[1])
        if source.is_accessory or chosen[0] == repository:
            return
        before = self._snapshot()
        try:
            with self.points.at(-1 if where is None else where, kill):
                copies.copy(
                    source=source, project=self.project(repository), repository_name=repository, actor=self.alice
                )
        except Killed:
            pass
        self._read_again()
        assert before[0] <= self._snapshot()[0]

    # --- time and garbage collection ---------------------------------------------------------------

    @rule(minutes=st.sampled_from([31, 121]))
    def time_passes(self, minutes: int) -> None:
        self._let_pass(timedelta(minutes=minutes))

    def _let_pass(self, how_long: timedelta) -> None:
        with transaction.atomic():
            for model in (Blob, BlobLink, BlobUpload):
                model.objects.update(update_time=F("update_time") - how_long)
            Artifact.objects.update(push_time=F("push_time") - how_long)
        for file in self.root.rglob("*"):
            if file.is_file():
                age = file.stat().st_mtime - how_long.total_seconds()
                os.utime(file, (age, age))

    @rule(delete_untagged=st.booleans())
    def collect(self, delete_untagged: bool) -> None:
        """Undisturbed, it does what the dry run said."""
        told = gc.run(dry_run=True, delete_untagged=delete_untagged)
        done = self._collect(delete_untagged)
        assert (done.manifests, done.blobs, done.bytes) == (told.manifests, told.blobs, told.bytes)

    @rule(delete_untagged=st.booleans(), where=st.integers(0, 15))
    def collect_and_crash(self, delete_untagged: bool, where: int) -> None:
        try:
            with self.points.at(where, kill):
                self._collect(delete_untagged)
        except Killed:
            self._forget_untagged()

    @rule(
        where=st.integers(0, 15),
        repository=repositories,
        which=st.sampled_from(MANIFESTS),
        tag=names,
        delete_untagged=st.booleans(),
        asks=st.booleans(),
    )
    def collect_while_something_is_pushed(
        self, where: int, repository: str, which: Manifest, tag: str, delete_untagged: bool, asks: bool
    ) -> None:
        self._collect_while_pushing(where, repository, which, tag, delete_untagged=delete_untagged, asks=asks)

    def _collect_while_pushing(
        self, where: int, repository: str, which: Manifest, tag: str, *, delete_untagged: bool, asks: bool
    ) -> None:
        """The whole push comes at some point of the collection; a client that is turned away comes back."""

        def push() -> None:
            try:
                self._push(repository, which, tag, asks=asks)
            except (AssertionError, ManifestBlobUnknown):
                late.append(True)

        late: list[bool] = []
        with self.points.at(where, push):
            self._collect(delete_untagged)
        if late:
            self._push(repository, which, tag)

    @precondition(lambda self: any(self.artifacts.values()))
    @rule(data=st.data(), where=st.integers(0, 1), tag=names)
    def what_was_deleted_comes_back_while_it_is_collected(self, data: st.DataObject, where: int, tag: str) -> None:
        """The closest race there is: its blobs are being given up at this moment."""
        repository, digest = data.draw(
            st.sampled_from(sorted((r, d) for r, got in self.artifacts.items() for d in got))
        )
        artifact = Artifact.objects.get(repository__name=repository, digest=digest)
        self._lose(None, lambda: deletes.delete_artifact(artifact=artifact, actor=self.alice))
        self._let_pass(timedelta(minutes=121))
        which = next(each for each in MANIFESTS if each.digest == digest)
        self._collect_while_pushing(where, repository, which, tag, delete_untagged=False, asks=False)

    # --- checks of the storage ---------------------------------------------------------------------

    @rule(where=st.none() | st.integers(0, 15))
    def check_the_storage_and_crash(self, where: int | None) -> None:
        with suppress(Killed), self.points.at(-1 if where is None else where, kill):
            self._check(quarantine=True)

    @rule(where=st.integers(0, 15), delete_untagged=st.booleans())
    def check_the_storage_while_garbage_is_collected(self, where: int, delete_untagged: bool) -> None:
        def collect() -> None:
            with suppress(gc.AlreadyRunning):  # bytes are being set aside
                self._collect(delete_untagged)

        with self.points.at(where, collect):
            self._check(quarantine=True)

    @rule(where=st.integers(0, 15), delete_untagged=st.booleans())
    def collect_garbage_while_the_storage_is_checked(self, where: int, delete_untagged: bool) -> None:
        with self.points.at(where, lambda: self._check(quarantine=False)):
            self._collect(delete_untagged)

    @rule(where=st.integers(0, 15), repository=repositories, which=st.sampled_from(MANIFESTS), tag=names)
    def push_while_the_storage_is_checked(self, where: int, repository: str, which: Manifest, tag: str) -> None:
        with self.points.at(where, lambda: self._check(quarantine=False)):
            self._push(repository, which, tag)

    def _check(self, *, quarantine: bool) -> None:
        """Nothing is ever damaged here; what a crash left behind is unknown."""
        found = check.check(quarantine=quarantine).findings
        assert {finding.fault for finding in found} <= {check.Fault.UNKNOWN}

    def _collect(self, delete_untagged: bool) -> gc.Result:
        result = gc.run(delete_untagged=delete_untagged, report=lambda line: None)
        self._forget_untagged()
        return result

    def _forget_untagged(self) -> None:
        """A collection may take untagged artifacts, and nothing that a tag leads to."""
        before = dict(self.tags)
        self._read_again()
        settled = [{key: to for key, to in some.items() if key != self.moving} for some in (before, self.tags)]
        assert settled[0] == settled[1], "garbage collection took or moved a tag"

    # --- what must hold ------------------------------------------------------------------------------

    def _snapshot(self) -> tuple[set[tuple[str, str]], set[tuple[tuple[str, str], str]]]:
        return {(r, d) for r, found in self.artifacts.items() for d in found}, set(self.tags.items())

    def _read_again(self) -> None:
        self.artifacts.clear()
        for name, digest in Artifact.objects.values_list("repository__name", "digest"):
            self.artifacts[name].add(digest)
        rows = Tag.objects.values_list("repository__name", "name", "artifact__digest")
        self.tags = {(repository, name): digest for repository, name, digest in rows}

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        before = self._snapshot()
        self._read_again()
        assert before == self._snapshot()

    @invariant()
    def no_blob_that_is_needed_is_lost(self) -> None:
        rows = ArtifactReference.objects.values_list("artifact__repository__name", "digest").distinct()
        for repository, digest in rows:
            held = blobs.find(repository_name=repository, digest=Digest.parse(digest))
            with storage.store().open(held.digest) as file:
                assert file.read() == CONTENT[digest]
        doomed = Blob.objects.filter(status=Blob.Status.DELETING, links__isnull=False)
        assert not doomed.exists(), "a blob is linked while it is being removed"

    @invariant()
    def quotas_count_what_there_is(self) -> None:
        with transaction.atomic():
            for quota in Quota.objects.select_related("project"):
                assert quotas.recount(quota.project).used == quota.used, quota.project.name
            transaction.set_rollback(True)

    def teardown(self) -> None:
        """After a quiet run nothing is left but what is needed."""
        if not hasattr(self, "tags"):
            return
        self._let_pass(timedelta(hours=25))
        gc.run(report=lambda line: None)
        self.no_blob_that_is_needed_is_lost()
        needed = set(ArtifactReference.objects.values_list("artifact__repository__name", "digest"))
        digests = {digest for _, digest in needed}
        assert set(BlobLink.objects.values_list("repository_name", "blob__digest")) == needed
        assert set(Blob.objects.values_list("digest", flat=True)) == digests
        assert {str(found.digest) for found in storage.store().blobs()} == digests
        assert not BlobUpload.objects.exists()
        assert not list(storage.store().uploads())


@pytest.mark.django_db(transaction=True)
def test_no_needed_blob_is_lost_and_no_other_stays(
    library: Project, commons: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = Points()
    monkeypatch.setattr(transaction.Atomic, "__exit__", points.around_commit(transaction.Atomic.__exit__))
    monkeypatch.setattr(transaction.Atomic, "__enter__", before(points.pass_one, transaction.Atomic.__enter__))
    for name in ("_place", "delete", "set_aside"):
        monkeypatch.setattr(FilesystemStore, name, points.around(getattr(FilesystemStore, name)))
    monkeypatch.setattr(deletes, "PIECE", 2)
    monkeypatch.setattr(blobs, "_IN_LIST", 2)  # of the blobs that a repository lets go at once
    monkeypatch.setattr(blobs, "_DELETING_PATIENCE", 0.1)  # whoever is at it waits for us
    Registry.root, Registry.points = tmp_path / "registry", points
    further = int(os.environ.get("RACES", "0"))
    run_state_machine_as_test(
        Registry,
        settings=settings(
            max_examples=further or 16,
            stateful_step_count=16,
            derandomize=not further,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
