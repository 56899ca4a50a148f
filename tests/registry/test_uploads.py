"""Pushing blobs in every way that clients know, and the ways that go wrong."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from django.test import Client

from projects.models import Project, Quota
from projects.permissions import Role
from registry.models import Blob, BlobLink, BlobUpload
from registry.oci.digest import Digest
from registry.services import uploads
from registry.storage import BlobStore, StorageFullError
from tests.factories import add, client_for, error_code, make_project, make_user
from tests.images import digest_of
from tests.registry import wire

DATA = b"chunk one, chunk two"
NOTHING = digest_of(b"")
WRONG = "sha256:" + "0" * 64


def stored(digest: str) -> bool:
    return Blob.objects.filter(digest=digest).exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_post_then_put(owner: Client, algorithm: str) -> None:
    digest = digest_of(DATA, algorithm)
    started = owner.post("/v2/library/app/blobs/uploads/")
    assert (started.status_code, started["Range"]) == (202, "0-0")
    assert started["Location"].startswith("http://testserver/v2/library/app/blobs/uploads/")
    done = wire.finish(owner, started, digest, DATA)
    assert (done.status_code, done["Docker-Content-Digest"]) == (201, digest)
    assert wire.content(owner.get(wire.path(done))) == DATA
    assert not BlobUpload.objects.exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_post_alone(owner: Client, algorithm: str) -> None:
    digest = digest_of(DATA, algorithm)
    done = owner.post(f"/v2/library/app/blobs/uploads/?digest={digest}", DATA, content_type=wire.OCTETS)
    assert (done.status_code, done["Docker-Content-Digest"]) == (201, digest)
    assert wire.content(wire.get_blob(owner, "library/app", digest)) == DATA


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_chunks_in_order(owner: Client, algorithm: str) -> None:
    digest = digest_of(DATA, algorithm)
    upload = owner.post("/v2/library/app/blobs/uploads/")
    upload = wire.patch(owner, upload, DATA[:10], Content_Range="0-9")
    assert (upload.status_code, upload["Range"]) == (202, "0-9")
    upload = wire.patch(owner, upload, DATA[10:15], Content_Range="10-14")
    assert (upload.status_code, upload["Range"]) == (202, "0-14")
    done = wire.finish(owner, upload, digest, DATA[15:], **{"Content-Range": "15-19"})
    assert done.status_code == 201
    assert wire.content(wire.get_blob(owner, "library/app", digest)) == DATA


def test_a_chunk_out_of_order_is_told_where_to_go_on(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    wire.patch(owner, upload, DATA[:10], Content_Range="0-9")
    refused = wire.patch(owner, upload, DATA[10:], Content_Range="12-21")
    assert (refused.status_code, error_code(refused)) == (416, "RANGE_INVALID")
    assert (refused["Range"], wire.path(refused)) == ("0-9", wire.path(upload))
    state = owner.get(wire.path(upload))
    assert (state.status_code, state["Range"], wire.path(state)) == (204, "0-9", wire.path(upload))
    last = wire.finish(owner, upload, digest_of(DATA), DATA[10:], **{"Content-Range": "0-9"})
    assert last.status_code == 416
    assert wire.finish(owner, upload, digest_of(DATA), DATA[10:]).status_code == 201


def test_a_chunk_whose_length_is_not_its_range_is_refused(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    refused = wire.patch(owner, upload, DATA, Content_Range="0-9")
    assert (refused.status_code, error_code(refused)) == (400, "SIZE_INVALID")
    assert owner.get(wire.path(upload))["Range"] == "0-0"


@pytest.mark.parametrize("text", ["9-0", "a-b", "bytes", "0-99999999999999999999999"])
def test_a_bad_content_range_is_refused(owner: Client, text: str) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    assert error_code(wire.patch(owner, upload, DATA, Content_Range=text)) == "RANGE_INVALID"


def test_a_streamed_body_as_docker_sends_it(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    upload = wire.patch_stream(owner, upload, DATA)
    assert (upload.status_code, upload["Range"]) == (202, "0-19")
    assert wire.finish(owner, upload, digest_of(DATA)).status_code == 201
    assert wire.content(wire.get_blob(owner, "library/app", digest_of(DATA))) == DATA


def test_the_bytes_of_a_streamed_upload_are_read_once(
    owner: Client, blob_store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(key: str, algorithm: str = "sha256") -> Digest:
        raise AssertionError("read again")

    upload = wire.patch_stream(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA)
    monkeypatch.setattr(blob_store, "digest", never)
    assert wire.finish(owner, upload, digest_of(DATA)).status_code == 201


def test_the_empty_blob(owner: Client) -> None:
    assert wire.put_blob(owner, "library/app", b"").status_code == 201
    answer = wire.get_blob(owner, "library/app", NOTHING)
    assert (wire.content(answer), answer["Content-Length"]) == (b"", "0")


def test_a_wrong_digest_leaves_nothing(owner: Client, blob_store: BlobStore) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    refused = wire.finish(owner, upload, WRONG, DATA)
    assert (refused.status_code, error_code(refused)) == (400, "DIGEST_INVALID")
    assert refused.json()["errors"][0]["detail"] == {"Digest": WRONG, "Reason": {}}
    assert owner.get(wire.path(upload)).status_code == 404
    single = owner.post(f"/v2/library/app/blobs/uploads/?digest={WRONG}", DATA, content_type=wire.OCTETS)
    assert error_code(single) == "DIGEST_INVALID"
    assert not Blob.objects.exists()
    assert not list(blob_store.blobs())
    assert not list(blob_store.uploads())


@pytest.mark.parametrize("digest", ["sha256:short", "md5:" + "0" * 32, "nothing", "sha256:" + "A" * 64, ""])
def test_what_is_no_digest_is_refused(owner: Client, digest: str) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    assert error_code(wire.finish(owner, upload, digest, DATA)) == "DIGEST_INVALID"
    assert owner.get(f"/v2/library/app/blobs/{digest or 'x'}").status_code == 400


def test_the_digest_is_asked_for_before_the_upload_is_looked_up(owner: Client) -> None:
    refused = owner.put("/v2/library/app/blobs/uploads/00000000-0000-0000-0000-000000000000")
    assert (refused.status_code, error_code(refused)) == (400, "BAD_REQUEST")


def test_a_body_that_ends_early_can_be_gone_on_with(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    broken = wire.cut_short(owner, "PATCH", wire.path(upload), DATA[:10], announced=20)
    assert (broken.status_code, error_code(broken)) == (400, "SIZE_INVALID")
    assert owner.get(wire.path(upload))["Range"] == "0-9"
    assert wire.finish(owner, upload, digest_of(DATA), DATA[10:]).status_code == 201


def test_a_last_chunk_that_ends_early_makes_no_blob(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    address = f"{wire.path(upload)}?digest={digest_of(DATA[:10])}"
    broken = wire.cut_short(owner, "PUT", address, DATA[:10], announced=2 * 1024 * 1024)
    assert error_code(broken) == "SIZE_INVALID"
    assert not Blob.objects.exists()
    assert owner.get(wire.path(upload))["Range"] == "0-9"


def test_a_small_blob_that_ends_early_starts_over(owner: Client) -> None:
    upload = owner.post("/v2/library/app/blobs/uploads/")
    address = f"{wire.path(upload)}?digest={digest_of(DATA[:10])}"
    assert error_code(wire.cut_short(owner, "PUT", address, DATA[:10], announced=20)) == "SIZE_INVALID"
    assert not Blob.objects.exists()
    assert owner.get(wire.path(upload))["Range"] == "0-0"
    assert wire.finish(owner, upload, digest_of(DATA[:10]), DATA[:10]).status_code == 201


def test_a_single_post_that_ends_early_leaves_nothing(owner: Client, blob_store: BlobStore) -> None:
    address = f"/v2/library/app/blobs/uploads/?digest={digest_of(DATA[:10])}"
    assert error_code(wire.cut_short(owner, "POST", address, DATA[:10], announced=20)) == "SIZE_INVALID"
    assert not list(blob_store.uploads())
    assert not list(blob_store.blobs())


def test_two_requests_do_not_write_to_one_upload(owner: Client, tmp_path: Path) -> None:
    upload = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA[:10])
    with (tmp_path / "registry" / "uploads" / wire.path(upload).rpartition("/")[2]).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = wire.patch(owner, upload, DATA[10:])
        assert (refused.status_code, error_code(refused)) == (409, "BLOB_UPLOAD_BUSY")
    assert wire.finish(owner, upload, digest_of(DATA), DATA[10:]).status_code == 201


def test_a_full_disk_is_said_and_leaves_what_was_there(
    owner: Client, blob_store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise StorageFullError("no space left on device")

    upload = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA[:10])
    for verb in ("append", "commit"):
        with monkeypatch.context() as patched:
            patched.setattr(blob_store, verb, full)
            assert wire.finish(owner, upload, digest_of(DATA), DATA[10:]).status_code == 507
        assert not Blob.objects.exists()
    assert wire.finish(owner, upload, digest_of(DATA)).status_code == 201


def test_a_cancelled_upload_is_gone(owner: Client, blob_store: BlobStore) -> None:
    upload = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA)
    assert owner.delete(wire.path(upload)).status_code == 204
    assert error_code(owner.get(wire.path(upload))) == "BLOB_UPLOAD_UNKNOWN"
    assert owner.delete(wire.path(upload)).status_code == 404
    assert not list(blob_store.uploads())


def test_an_upload_is_of_one_person_and_one_repository(owner: Client, library: Project) -> None:
    dave = make_user("dave")
    add(library, dave, Role.PROJECT_ADMIN)
    stranger = client_for(dave)
    upload = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA)
    other = wire.path(upload).replace("/app/", "/web/")
    for client, address in ((stranger, wire.path(upload)), (owner, other)):
        answers = [
            client.get(address),
            client.patch(address, b"x", content_type=wire.OCTETS),
            client.put(f"{address}?digest={digest_of(DATA)}"),
            client.delete(address),
        ]
        assert {error_code(answer) for answer in answers} == {"BLOB_UPLOAD_UNKNOWN"}
    assert wire.finish(owner, upload, digest_of(DATA)).status_code == 201


@pytest.mark.parametrize("upload_id", ["nothing", "..", "%2e%2e", "00000000-0000-0000-0000-00000000000"])
def test_what_is_no_upload_id_is_unknown(owner: Client, upload_id: str) -> None:
    assert owner.get(f"/v2/library/app/blobs/uploads/{upload_id}").status_code in (400, 404)


def test_equal_blobs_are_kept_and_counted_once(owner: Client, library: Project, blob_store: BlobStore) -> None:
    for repository in ("library/app", "library/web", "library/app"):
        assert wire.put_blob(owner, repository, DATA).status_code == 201
    assert Blob.objects.get().size == len(DATA)
    assert BlobLink.objects.count() == 2
    assert len(list(blob_store.blobs())) == 1
    assert Quota.objects.get(project=library).used == len(DATA)


def test_a_full_quota_refuses_a_new_blob_and_takes_a_known_one(admin: object) -> None:
    erin = make_user("erin")
    project = make_project("small", erin, quota=len(DATA))
    client = client_for(erin)
    assert wire.put_blob(client, "small/app", DATA).status_code == 201
    refused = wire.put_blob(client, "small/app", b"more")
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert not stored(digest_of(b"more"))
    assert wire.put_blob(client, "small/other", DATA).status_code == 201
    assert Quota.objects.get(project=project).used == len(DATA)


def test_a_guest_cannot_start_an_upload(bob: object) -> None:
    refused = client_for(bob).post("/v2/library/app/blobs/uploads/")  # type: ignore[arg-type]
    assert (refused.status_code, error_code(refused)) == (401, "UNAUTHORIZED")
    assert not BlobUpload.objects.exists()


def test_abandoned_uploads_are_cleaned_up(owner: Client, blob_store: BlobStore) -> None:
    """A row with its bytes, and bytes whose row a crash has kept from being written."""
    import os
    import time

    old = time.time() - 2 * 24 * 3600
    abandoned = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA)
    living = wire.patch(owner, owner.post("/v2/library/app/blobs/uploads/"), DATA)
    key = wire.path(abandoned).rpartition("/")[2]
    BlobUpload.objects.filter(pk=key).update(update_time="2020-01-01T00:00:00Z")
    assert uploads.clean_up() == 0, "its bytes are fresh: somebody is still sending"
    for found in blob_store.uploads():
        if found.key == key:
            os.utime(f"{blob_store._root}/uploads/{key}", (old, old))  # type: ignore[attr-defined]
    assert uploads.clean_up() == 1
    assert [found.key for found in blob_store.uploads()] == [wire.path(living).rpartition("/")[2]]
    assert BlobUpload.objects.count() == 1
