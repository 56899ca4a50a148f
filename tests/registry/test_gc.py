"""Garbage collection: what it takes, what it leaves, and that it gets in nobody's way."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from harborsite.db.exclusive import exclusive
from projects.models import Project, Quota
from registry.models import Artifact, Blob, BlobLink, BlobUpload, ImmutableRule
from registry.oci.digest import Digest
from registry.services import gc, preview
from registry.services.preview import Share
from registry.storage import BlobStore
from tests.factories import client_for
from tests.images import artifact, digest_of, image, index, index_of
from tests.registry import wire

OLD = timedelta(hours=3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store's files are."""
    return tmp_path / "registry"


def age() -> None:
    """Three hours pass, for rows."""
    past = timezone.now() - OLD
    Blob.objects.update(update_time=past)
    BlobLink.objects.update(update_time=past)
    Artifact.objects.update(push_time=past)


def age_files(root: Path) -> None:
    past = time.time() - OLD.total_seconds()
    for file in root.rglob("*"):
        os.utime(file, (past, past))


def used(project: Project) -> int:
    return Quota.objects.get(project=project).used


def digests(store: BlobStore) -> set[str]:
    return {str(found.digest) for found in store.blobs()}


def test_what_is_in_use_stays(owner: Client, blob_store: BlobStore, root: Path) -> None:
    pushed = index()
    wire.push(owner, "library/app:multi", pushed)
    age()
    age_files(root)
    before = digests(blob_store)
    assert gc.run(delete_untagged=True) == gc.Result()
    assert digests(blob_store) == before
    assert wire.get_manifest(owner, "library/app", pushed.children[0].digest).status_code == 200


def test_a_deleted_image_frees_its_bytes(owner: Client, library: Project, blob_store: BlobStore) -> None:
    pushed, shared = image("gone", layers=2), image("stays")
    wire.push(owner, "library/app:v1", pushed)
    wire.push(owner, "library/app:v2", shared)
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    assert gc.run().blobs == 0, "within the grace"
    age()
    expected = gc.Result(blobs=3, bytes=sum(len(blob.data) for blob in pushed.blobs))
    assert gc.run(dry_run=True) == expected
    assert Blob.objects.count() == 5
    assert gc.run() == expected
    assert digests(blob_store) == {blob.digest for blob in shared.blobs}
    assert Blob.objects.count() == BlobLink.objects.count() == 2
    assert used(library) == Artifact.objects.get().size
    assert gc.run() == gc.Result()
    row = AuditLog.objects.filter(resource_type="gc").order_by("pk")[1]
    assert row.data == {"manifests": 0, "blobs": 3, "bytes": expected.bytes}


def test_blobs_that_no_manifest_followed_go_and_free_the_quota(owner: Client, library: Project) -> None:
    wire.put_blob(owner, "library/app", b"lonely")
    age()
    assert gc.run() == gc.Result(blobs=1, bytes=6)
    assert used(library) == 0
    assert not wire.has_blob(owner, "library/app", digest_of(b"lonely"))


def test_a_blob_stays_for_the_repository_that_needs_it(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    wire.put_blob(owner, "library/web", pushed.blobs[1].data)
    age()
    assert gc.run().blobs == 0
    assert not wire.has_blob(owner, "library/web", pushed.blobs[1].digest)
    assert wire.has_blob(owner, "library/app", pushed.blobs[1].digest)


def test_nothing_is_taken_from_a_repository_while_it_is_being_uploaded_to(owner: Client) -> None:
    """A slow push: the first layer came hours before the last one ends."""
    wire.put_blob(owner, "library/app", b"first layer")
    upload = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), b"half of the")
    age()
    assert gc.run().blobs == 0
    assert wire.has_blob(owner, "library/app", digest_of(b"first layer"))
    owner.delete(wire.path(upload))
    age()
    assert gc.run().blobs == 1


def test_asking_for_a_blob_saves_it(owner: Client) -> None:
    """`docker push` that is told "it is here" sends a manifest next."""
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    age()
    for blob in pushed.blobs:
        assert wire.has_blob(owner, "library/app", blob.digest)
    assert gc.run().blobs == 0
    assert wire.put_manifest(owner, "library/app", "v1", pushed).status_code == 201


@pytest.mark.parametrize("status", [Blob.Status.DELETE, Blob.Status.DELETE_FAILED])
def test_pushing_a_marked_blob_saves_it(owner: Client, status: Blob.Status) -> None:
    wire.put_blob(owner, "library/app", b"marked")
    owner.delete(f"/v2/library/app/blobs/{digest_of(b'marked')}")
    age()
    Blob.objects.update(status=status)
    assert wire.put_blob(owner, "library/app", b"marked").status_code == 201
    assert Blob.objects.get().status == Blob.Status.NONE
    assert gc.run().blobs == 0
    assert wire.has_blob(owner, "library/app", digest_of(b"marked"))


def test_a_blob_that_is_being_deleted_can_be_pushed_again_in_a_moment(owner: Client, monkeypatch: Any) -> None:
    from registry.services import blobs

    wire.put_blob(owner, "library/app", b"going")
    owner.delete(f"/v2/library/app/blobs/{digest_of(b'going')}")
    Blob.objects.update(status=Blob.Status.DELETING)
    monkeypatch.setattr(blobs, "_DELETING_PATIENCE", 0.1)
    with exclusive("gc") as mine:
        assert mine
        refused = wire.put_blob(owner, "library/app", b"going")
    assert refused.status_code == 503
    assert refused["Retry-After"]
    assert not wire.has_blob(owner, "library/app", digest_of(b"going"))
    assert wire.put_blob(owner, "library/app", b"going").status_code == 201, "a push finishes what a crash left"
    assert wire.has_blob(owner, "library/app", digest_of(b"going"))
    Blob.objects.all().delete()
    wire.put_blob(owner, "library/app", b"going")
    BlobLink.objects.all().delete()
    Blob.objects.update(status=Blob.Status.DELETING)
    age()
    assert gc.run().blobs == 1, "and so does the next run"


def test_bytes_without_a_row_go_after_the_grace(owner: Client, blob_store: BlobStore, root: Path) -> None:
    """A server that was killed between the rename and the commit."""
    stray = b"nobody knows me"
    blob_store.put(io.BytesIO(stray), Digest.of(stray))
    wire.push(owner, "library/app:v1", image())
    assert gc.run().blobs == 0
    age_files(root)
    assert gc.run(dry_run=True) == gc.Result(blobs=1, bytes=len(stray))
    assert gc.run() == gc.Result(blobs=1, bytes=len(stray))
    assert digests(blob_store) == {blob.digest for blob in image().blobs}
    assert Blob.objects.count() == 2


def test_bytes_that_cannot_be_removed_are_tried_again(owner: Client, blob_store: BlobStore, monkeypatch: Any) -> None:
    def fail(digest: Digest) -> None:
        raise PermissionError("read-only")

    wire.put_blob(owner, "library/app", b"stuck")
    age()
    with monkeypatch.context() as patched:
        patched.setattr(blob_store, "delete", fail)
        assert gc.run() == gc.Result(failed=1)
    assert Blob.objects.get().status == Blob.Status.DELETE_FAILED
    assert gc.run() == gc.Result(blobs=1, bytes=5)


def test_untagged_artifacts_go_when_asked(owner: Client, blob_store: BlobStore) -> None:
    old, new = image("old"), image("new")
    multi, signature = index("multi"), artifact(subject=new)
    wire.push(owner, "library/app:v1", old)
    wire.push(owner, "library/app:v1", new)
    wire.push(owner, "library/app:multi", multi)
    wire.push(owner, "library/app", signature)
    assert gc.run(delete_untagged=True).manifests == 0, "within the grace"
    age()
    assert gc.run().manifests == 0
    wanted = gc.Result(manifests=1, blobs=2, bytes=sum(len(blob.data) for blob in old.blobs))
    assert gc.run(delete_untagged=True, dry_run=True) == wanted
    assert gc.run(delete_untagged=True) == wanted
    assert not Artifact.objects.filter(digest=old.digest).exists()
    for kept in (new, multi, signature, *multi.children):
        assert wire.get_manifest(owner, "library/app", kept.digest).status_code == 200


def test_an_untagged_index_goes_with_its_children(owner: Client) -> None:
    multi = index()
    wire.push(owner, "library/app:multi", multi)
    owner.delete("/v2/library/app/manifests/multi")
    age()
    assert gc.run(delete_untagged=True, dry_run=True).manifests == 3
    result = gc.run(delete_untagged=True)
    assert (result.manifests, result.blobs) == (3, Blob.objects.count() + 4)
    assert not Artifact.objects.exists()


def test_a_signature_with_an_immutable_tag_keeps_its_untagged_subject(owner: Client, library: Project) -> None:
    subject = image("signed")
    wire.push(owner, "library/app:v1", subject)
    wire.push(owner, "library/app:keep", artifact(b"signature", subject=subject))
    wire.push(owner, "library/app:v1", image("newer"))
    wire.push(owner, "library/app", image("nobody's"))
    ImmutableRule.objects.create(
        project=library,
        tag_selectors=[{"kind": "doublestar", "decoration": "matches", "pattern": "keep"}],
        scope_selectors={"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]},
    )
    age()
    wanted = gc.run(delete_untagged=True, dry_run=True)
    assert wanted.manifests == 1
    said: list[str] = []
    assert gc.run(delete_untagged=True, report=said.append) == wanted
    assert any(subject.digest in line and "immutable" in line for line in said)
    assert wire.get_manifest(owner, "library/app", subject.digest).status_code == 200


def test_a_part_of_two_untagged_indexes_goes_with_the_last_of_them(owner: Client) -> None:
    part = image("part")
    for number in range(2):
        wire.push(owner, f"library/app:{number}", index_of(part, image(f"other {number}")))
        owner.delete(f"/v2/library/app/manifests/{number}")
    age()
    wanted = gc.run(delete_untagged=True, dry_run=True)
    assert wanted.manifests == 5
    assert gc.run(delete_untagged=True) == wanted


def test_the_preview_says_what_goes_on_whose_account(
    owner: Client, library: Project, commons: Project, blob_store: BlobStore, root: Path
) -> None:
    other = client_for(commons.owner)
    mine, both, untagged, kept = image("mine"), image("both"), image("untagged"), image("kept")
    for name in ("mine", "both", "kept"):
        wire.push(owner, f"library/app:{name}", {"mine": mine, "both": both, "kept": kept}[name])
    wire.push(owner, "library/web", untagged)
    wire.push(other, "commons/app:both", both)
    for client, name, pushed in ((owner, "library", mine), (owner, "library", both), (other, "commons", both)):
        client.delete(f"/v2/{name}/app/manifests/{pushed.digest}")
    wire.put_blob(owner, "library/web", b"unlinked")
    owner.delete(f"/v2/library/web/blobs/{digest_of(b'unlinked')}")
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    age()
    age_files(root)
    size = {name: sum(len(blob.data) for blob in one.blobs) for name, one in
            (("mine", mine), ("both", both), ("untagged", untagged))}  # fmt: skip
    found = preview.compute(delete_untagged=True, grace=gc.GRACE)
    assert found.projects == [
        Share("library", size["mine"] + size["untagged"], size["both"], blobs=6, manifests=1),
        Share("commons", 0, size["both"], blobs=2),
    ]
    assert {share.name: share.exclusive for share in found.repositories} == {
        "library/app": size["mine"],
        "library/web": size["untagged"],
        "commons/app": 0,
    }
    assert found.artifacts == [Share(f"library/web@{untagged.digest}", size["untagged"], 0, 2, 1)]
    assert found.unheld == len(b"unlinked" + b"stray")
    assert (found.manifests, found.blobs, found.bytes) == (1, 8, sum(size.values()) + found.unheld)
    assert preview.compute(delete_untagged=False, grace=gc.GRACE).bytes == found.bytes - size["untagged"]
    done = gc.run(delete_untagged=True)
    assert (done.manifests, done.blobs, done.bytes) == (found.manifests, found.blobs, found.bytes)
    assert preview.compute(delete_untagged=True, grace=gc.GRACE) == preview.Preview()


def test_a_manifest_that_comes_between_looking_and_dropping_keeps_its_blobs(owner: Client, monkeypatch: Any) -> None:
    """Its client asked for nothing: it knew that the blobs were there."""
    pushed = image("again")
    wire.push(owner, "library/app:v1", pushed)
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    age()
    drop = gc._drop

    def dropping(*given: Any) -> None:
        assert wire.put_manifest(owner, "library/app", "v1", pushed).status_code == 201
        drop(*given)

    monkeypatch.setattr(gc, "_drop", dropping)
    assert gc.run().blobs == 0
    for blob in pushed.blobs:
        assert wire.content(wire.get_blob(owner, "library/app", blob.digest)) == blob.data


def test_a_blob_that_is_linked_after_it_was_marked_stays(owner: Client, monkeypatch: Any) -> None:
    wire.put_blob(owner, "library/app", b"marked")
    owner.delete(f"/v2/library/app/blobs/{digest_of(b'marked')}")
    age()
    claim = gc._claim

    def claiming(*given: Any) -> list[Blob]:
        assert wire.put_blob(owner, "library/web", b"marked").status_code == 201
        return claim(*given)

    monkeypatch.setattr(gc, "_claim", claiming)
    assert gc.run().blobs == 0
    assert wire.content(wire.get_blob(owner, "library/web", digest_of(b"marked"))) == b"marked"


def test_workers_remove_files_side_by_side(owner: Client, blob_store: BlobStore, monkeypatch: Any) -> None:
    """Three deletions wait for each other: one worker alone would never get past the first."""
    for number in range(3):
        wire.put_blob(owner, "library/app", b"blob %d" % number)
    age()
    together, delete = threading.Barrier(3, timeout=10), blob_store.delete

    def deleting(digest: Digest) -> None:
        together.wait()
        delete(digest)

    monkeypatch.setattr(blob_store, "delete", deleting)
    told: list[tuple[int, int]] = []
    assert gc.run(workers=3, progress=lambda done, total: told.append((done, total))).blobs == 3
    assert told == [(3, 3)]
    assert digests(blob_store) == set()


def test_a_run_that_is_stopped_is_finished_by_the_next(owner: Client, monkeypatch: Any) -> None:
    class Stopped(Exception):
        pass

    def stop_at(word: str) -> Callable[[str], None]:
        def report(line: str) -> None:
            if line.startswith(word):
                raise Stopped

        return report

    monkeypatch.setattr(gc, "_BATCH", 2)
    for number in range(5):
        wire.put_blob(owner, "library/app", b"blob %d" % number)
    age()
    for word, left in (("repository", 5), ("5", 5), ("blob", 3)):
        with pytest.raises(Stopped):
            gc.run(report=stop_at(word))
        assert Blob.objects.count() == left, word
    assert gc.run().blobs == 3
    assert not Blob.objects.exists()


def test_only_one_collection_at_a_time(owner: Client) -> None:
    refused: list[Exception] = []

    def other() -> None:
        try:
            gc.run()
        except gc.AlreadyRunning as error:
            refused.append(error)
        finally:
            connection.close()

    with exclusive("gc") as mine:
        assert mine
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refused
    gc.run()


@pytest.mark.django_db(transaction=True)
def test_pushes_and_collections_at_the_same_time(owner: Client, library: Project, blob_store: BlobStore) -> None:
    """Every push that was acknowledged can be pulled, although everything unneeded is collected without any grace."""
    stop = threading.Event()
    failures: list[str] = []

    def collect() -> None:
        while not stop.is_set():
            gc.run(grace=timedelta(0), delete_untagged=False)
        connection.close()

    def work(number: int) -> None:
        client = client_for(library.owner)
        repository = f"library/app{number % 2}"
        for turn in range(8):
            data = f"layer {turn % 3}".encode()
            pushed = wire.put_blob(client, repository, data)
            if pushed.status_code == 503:
                continue
            if pushed.status_code != 201:
                failures.append(f"push: {pushed.status_code} {pushed.content!r}")
                continue
            got = wire.get_blob(client, repository, digest_of(data))
            if got.status_code == 200 and wire.content(got) != data:
                failures.append("wrong bytes")
        connection.close()

    _together([collect, *[lambda number=number: work(number) for number in range(4)]], stop)
    assert not failures
    for link in BlobLink.objects.select_related("blob"):
        assert blob_store.stat(Digest.parse(link.blob.digest)) == link.blob.size, "a link without bytes"
    assert not BlobUpload.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_pushed_images_survive_collections(owner: Client, library: Project) -> None:
    """With a grace, no push fails, and no image that was pushed is ever incomplete."""
    stop = threading.Event()
    failures: list[str] = []

    def collect() -> None:
        while not stop.is_set():
            gc.run(delete_untagged=True)
        connection.close()

    def work(number: int) -> None:
        client = client_for(library.owner)
        for turn in range(4):
            pushed = image(f"turn {turn % 2}", layers=2)
            answer = wire.push(client, f"library/app{number % 2}:v{number}", pushed)
            if answer.status_code != 201:
                failures.append(f"{answer.status_code} {answer.content!r}")
            Blob.objects.update(update_time=timezone.now() - OLD)
            if not all(wire.has_blob(client, f"library/app{number % 2}", blob.digest) for blob in pushed.blobs):
                failures.append("incomplete")
        connection.close()

    _together([collect, *[lambda number=number: work(number) for number in range(4)]], stop)
    assert not failures


def _together(jobs: list[Callable[[], None]], stop: threading.Event) -> None:
    """Run the jobs in threads; the first one is told to stop when all the others are done."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
