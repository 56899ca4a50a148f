"""Reading blobs: whole, in part, by HEAD; and taking them away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from projects.models import Project, Quota, User
from registry.models import BlobLink
from registry.oci.digest import Digest
from registry.storage import BlobStore
from tests.factories import client_for, error_code
from tests.images import digest_of
from tests.registry import wire

DATA = b"0123456789" * 10
DIGEST = digest_of(DATA)


@pytest.fixture
def pushed(owner: Client) -> Client:
    assert wire.put_blob(owner, "library/app", DATA).status_code == 201
    return owner


def test_head_and_get_say_the_same(pushed: Client) -> None:
    head = pushed.head(f"/v2/library/app/blobs/{DIGEST}")
    get = wire.get_blob(pushed, "library/app", DIGEST)
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag", "Docker-Distribution-Api-Version"):
        assert head[name] == get[name]
    assert (head["Content-Type"], head["Content-Length"]) == ("application/octet-stream", "100")
    assert head["ETag"] == f'"{DIGEST}"'
    assert (head.content, wire.content(get)) == (b"", DATA)
    assert "Content-Disposition" not in get


def test_a_blob_that_the_client_has_is_not_sent_again(pushed: Client) -> None:
    assert wire.get_blob(pushed, "library/app", DIGEST, **{"If-None-Match": f'"{DIGEST}"'}).status_code == 304


@pytest.mark.parametrize(
    ("wanted", "expected", "said"),
    [
        ("bytes=0-4", DATA[:5], "bytes 0-4/100"),
        ("bytes=95-", DATA[95:], "bytes 95-99/100"),
        ("bytes=95-1000", DATA[95:], "bytes 95-99/100"),
        ("bytes=-5", DATA[-5:], "bytes 95-99/100"),
        ("bytes=-1000", DATA, "bytes 0-99/100"),
    ],
)
def test_part_of_a_blob(pushed: Client, wanted: str, expected: bytes, said: str) -> None:
    answer = wire.get_blob(pushed, "library/app", DIGEST, Range=wanted)
    assert (answer.status_code, answer["Content-Range"]) == (206, said)
    assert wire.content(answer) == expected
    assert answer["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=5000-10000", "bytes=50-0", "bytes=-0"])
def test_a_part_that_is_not_there(pushed: Client, wanted: str) -> None:
    answer = wire.get_blob(pushed, "library/app", DIGEST, Range=wanted)
    assert (answer.status_code, error_code(answer)) == (416, "RANGE_INVALID")
    assert answer["Content-Range"] == "bytes */100"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "items=0-1", "bytes=-", "bytes=a-b"])
def test_a_range_that_is_none_gets_the_whole(pushed: Client, wanted: str) -> None:
    answer = wire.get_blob(pushed, "library/app", DIGEST, Range=wanted)
    assert (answer.status_code, wire.content(answer)) == (200, DATA)


def test_a_part_of_another_version_is_not_sent(pushed: Client) -> None:
    same = {"Range": "bytes=0-4", "If-Range": f'"{DIGEST}"'}
    assert wire.content(wire.get_blob(pushed, "library/app", DIGEST, **same)) == DATA[:5]
    other = {"Range": "bytes=0-4", "If-Range": '"sha256:other"'}
    assert wire.content(wire.get_blob(pushed, "library/app", DIGEST, **other)) == DATA


def test_a_blob_whose_bytes_were_lost_is_unknown(pushed: Client, blob_store: BlobStore) -> None:
    blob_store.delete(Digest.parse(DIGEST))
    refused = wire.get_blob(pushed, "library/app", DIGEST)
    assert (refused.status_code, error_code(refused)) == (404, "BLOB_UNKNOWN")
    assert wire.put_blob(pushed, "library/app", DATA).status_code == 201, "pushing it again heals it"
    assert wire.content(wire.get_blob(pushed, "library/app", DIGEST)) == DATA


def test_a_blob_is_seen_only_through_a_repository_that_holds_it(pushed: Client) -> None:
    refused = wire.get_blob(pushed, "library/other", DIGEST)
    assert (refused.status_code, error_code(refused)) == (404, "BLOB_UNKNOWN")


def test_a_deleted_blob_is_gone_at_once_from_this_repository_alone(pushed: Client, library: Project) -> None:
    wire.put_blob(pushed, "library/other", DATA)
    assert pushed.delete(f"/v2/library/app/blobs/{DIGEST}").status_code == 202
    assert not wire.has_blob(pushed, "library/app", DIGEST)
    assert wire.get_blob(pushed, "library/app", DIGEST).status_code == 404
    assert wire.content(wire.get_blob(pushed, "library/other", DIGEST)) == DATA
    assert wire.get_blob(pushed, "library/app", DIGEST).status_code == 404, "reading it elsewhere brings it not back"
    assert Quota.objects.get(project=library).used == len(DATA)
    assert error_code(pushed.delete(f"/v2/library/app/blobs/{DIGEST}")) == "BLOB_UNKNOWN"
    assert pushed.delete(f"/v2/library/other/blobs/{DIGEST}").status_code == 202
    assert Quota.objects.get(project=library).used == 0


def test_a_guest_reads_and_does_not_delete(pushed: Client, bob: User) -> None:
    guest = client_for(bob)
    assert wire.content(wire.get_blob(guest, "library/app", DIGEST)) == DATA
    assert guest.delete(f"/v2/library/app/blobs/{DIGEST}").status_code == 401
    assert wire.has_blob(guest, "library/app", DIGEST)


def test_head_of_who_may_push_renews_the_grace_and_of_a_guest_does_not(pushed: Client, bob: User) -> None:
    old = timezone.now() - timedelta(days=3)
    BlobLink.objects.update(update_time=old)
    assert wire.has_blob(client_for(bob), "library/app", DIGEST)
    assert BlobLink.objects.get().update_time == old
    assert wire.has_blob(pushed, "library/app", DIGEST)
    assert BlobLink.objects.get().update_time > timezone.now() - timedelta(minutes=1)
