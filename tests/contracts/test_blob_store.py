"""The contract of every blob store: what it keeps, what it refuses, and what a crash leaves behind."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, cast
from uuid import uuid4

import pytest

from registry.oci.digest import Digest
from registry.storage import (
    BlobMissingError,
    BlobStore,
    DigestMismatchError,
    OffsetMismatchError,
    StorageFullError,
    UploadBusyError,
    UploadUnknownError,
    open_store,
)

MIB = 1024 * 1024
CONTENT = os.urandom(3 * MIB + 17)
DIGEST = Digest.of(CONTENT)
EMPTY = Digest.of(b"")
UUID_0 = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(params=["filesystem", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return open_store(request.param, tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> BlobStore:
    return open_store("filesystem", tmp_path)


@pytest.fixture
def key() -> str:
    return str(uuid4())


class Stream:
    """A request body as servers hand it on: no file, no seeking, short reads, and it may break."""

    def __init__(self, content: bytes, *, breaks: bool = False) -> None:
        self._content = BytesIO(content)
        self._breaks = breaks

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(min(size, 100_000))
        if not piece and self._breaks:
            raise ConnectionResetError("the client is gone")
        return piece


class ReadsIntoStream(Stream):
    def readinto(self, buffer: memoryview) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


STREAMS = [Stream, ReadsIntoStream]


def stream_of(kind: type[Stream], content: bytes, *, breaks: bool = False) -> BinaryIO:
    return cast(BinaryIO, kind(content, breaks=breaks))


def read(store: BlobStore, digest: Digest, start: int = 0) -> bytes:
    with store.open(digest, start) as file:
        return file.read()


def keep(store: BlobStore, content: bytes) -> Digest:
    digest = Digest.of(content)
    store.put(BytesIO(content), digest)
    return digest


def test_an_upload_becomes_a_blob(store: BlobStore, key: str) -> None:
    appended = store.append(key, BytesIO(CONTENT), offset=0)
    assert (appended.size, appended.digest) == (len(CONTENT), DIGEST)
    assert store.stat(DIGEST) is None
    store.commit(key, DIGEST)
    assert store.stat(DIGEST) == len(CONTENT)
    assert read(store, DIGEST) == CONTENT
    assert store.size(key) == 0
    assert list(store.uploads()) == []


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, MIB, MIB + 64 * 1024, len(CONTENT)])
def test_every_length_arrives_whole(store: BlobStore, key: str, kind: type[Stream], size: int) -> None:
    content = CONTENT[:size]
    appended = store.append(key, stream_of(kind, content), offset=0)
    assert (appended.size, appended.digest) == (size, Digest.of(content))
    assert store.digest(key) == Digest.of(content)


def test_chunks_add_up_and_their_digest_is_read_back(store: BlobStore, key: str) -> None:
    store.append(key, BytesIO(CONTENT[:1000]), offset=0)
    appended = store.append(key, BytesIO(CONTENT[1000:]), offset=1000)
    assert (appended.size, appended.digest) == (len(CONTENT), None)
    assert store.digest(key) == DIGEST
    store.commit(key, DIGEST)
    assert read(store, DIGEST) == CONTENT


def test_sha512_is_as_good_as_sha256(store: BlobStore, key: str) -> None:
    digest = Digest.of(CONTENT, "sha512")
    assert store.append(key, BytesIO(CONTENT), offset=0, algorithm="sha512").digest == digest
    assert store.digest(key, "sha512") == digest
    store.commit(key, digest)
    assert read(store, digest) == CONTENT
    assert store.put(BytesIO(CONTENT), digest) == len(CONTENT)
    assert [blob.digest for blob in store.blobs()] == [digest]
    assert store.stat(DIGEST) is None


@pytest.mark.parametrize("offset", [0, 1, 999, 1001, 2**40])
def test_a_chunk_out_of_order_is_refused_and_changes_nothing(store: BlobStore, key: str, offset: int) -> None:
    store.append(key, BytesIO(CONTENT[:1000]), offset=0)
    with pytest.raises(OffsetMismatchError) as refusal:
        store.append(key, BytesIO(b"x"), offset=offset)
    assert refusal.value.size == 1000
    assert store.digest(key) == Digest.of(CONTENT[:1000])


def test_a_first_chunk_must_begin_at_the_beginning(store: BlobStore, key: str) -> None:
    with pytest.raises(OffsetMismatchError) as refusal:
        store.append(key, BytesIO(b"x"), offset=5)
    assert refusal.value.size == 0
    assert list(store.uploads()) == []


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("received", [0, 1000, MIB + 70_000])
def test_a_broken_upload_goes_on_where_it_broke(store: BlobStore, key: str, kind: type[Stream], received: int) -> None:
    with pytest.raises(ConnectionResetError):
        store.append(key, stream_of(kind, CONTENT[:received], breaks=True), offset=0)
    assert store.size(key) == received
    store.append(key, BytesIO(CONTENT[received:]), offset=received)
    assert store.digest(key) == DIGEST
    store.commit(key, DIGEST)
    assert read(store, DIGEST) == CONTENT


def test_committing_twice_is_once(store: BlobStore, key: str) -> None:
    store.append(key, BytesIO(CONTENT), offset=0)
    store.commit(key, DIGEST)
    store.commit(key, DIGEST)
    assert [(blob.digest, blob.size) for blob in store.blobs()] == [(DIGEST, len(CONTENT))]


def test_committing_what_is_there_already_keeps_one_blob_and_no_upload(store: BlobStore, key: str) -> None:
    keep(store, CONTENT)
    store.append(key, BytesIO(CONTENT), offset=0)
    store.commit(key, DIGEST)
    assert list(store.uploads()) == []
    assert [blob.digest for blob in store.blobs()] == [DIGEST]
    assert read(store, DIGEST) == CONTENT


def test_an_upload_without_a_byte_is_the_empty_blob_and_no_other(store: BlobStore, key: str) -> None:
    assert (store.size(key), store.digest(key)) == (0, EMPTY)
    with pytest.raises(UploadUnknownError):
        store.commit(key, DIGEST)
    store.commit(key, EMPTY)
    assert (store.stat(EMPTY), read(store, EMPTY)) == (0, b"")


def test_a_blob_put_in_one_go_is_checked(store: BlobStore) -> None:
    assert store.put(BytesIO(CONTENT), DIGEST) == len(CONTENT)
    assert read(store, DIGEST) == CONTENT
    with pytest.raises(DigestMismatchError) as refusal:
        store.put(BytesIO(CONTENT), EMPTY)
    assert refusal.value.actual == DIGEST
    assert store.stat(EMPTY) is None
    assert list(store.uploads()) == []


def test_a_put_that_breaks_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(ConnectionResetError):
        store.put(stream_of(ReadsIntoStream, CONTENT[:5000], breaks=True), DIGEST)
    assert store.stat(DIGEST) is None
    assert list(store.uploads()) == []


def test_a_blob_is_read_from_any_byte(store: BlobStore) -> None:
    keep(store, CONTENT)
    assert read(store, DIGEST, MIB) == CONTENT[MIB:]
    assert read(store, DIGEST, len(CONTENT)) == b""


def test_a_missing_blob_is_missing_everywhere(store: BlobStore) -> None:
    assert store.stat(DIGEST) is None
    with pytest.raises(BlobMissingError):
        store.open(DIGEST)
    store.delete(DIGEST)
    assert list(store.blobs()) == []


def test_a_deleted_blob_is_gone_and_can_come_back(store: BlobStore) -> None:
    keep(store, CONTENT)
    store.delete(DIGEST)
    assert store.stat(DIGEST) is None
    assert list(store.blobs()) == []
    keep(store, CONTENT)
    assert read(store, DIGEST) == CONTENT


def test_a_reader_finishes_although_the_blob_is_deleted(store: BlobStore) -> None:
    keep(store, CONTENT)
    with store.open(DIGEST) as file:
        store.delete(DIGEST)
        assert file.read() == CONTENT


def test_a_cancelled_upload_is_forgotten(store: BlobStore, key: str) -> None:
    store.append(key, BytesIO(CONTENT), offset=0)
    store.cancel(key)
    store.cancel(key)
    assert store.size(key) == 0
    with pytest.raises(UploadUnknownError):
        store.commit(key, DIGEST)


def test_the_clean_up_sees_everything_with_its_age(store: BlobStore, key: str) -> None:
    kept = {keep(store, bytes([number])) for number in range(5)}
    store.append(key, BytesIO(CONTENT), offset=0)
    assert {blob.digest for blob in store.blobs()} == kept
    assert [(upload.key, upload.size) for upload in store.uploads()] == [(key, len(CONTENT))]
    ages = [blob.age for blob in store.blobs()] + [upload.age for upload in store.uploads()]
    assert all(-1 < age < 60 for age in ages)


@pytest.mark.parametrize("bad", ["", "..", "../x", "A" * 36, "0" * 36, "0" * 32, f"{UUID_0}\n", f"x/{UUID_0}"])
def test_only_a_uuid_is_an_upload_key(store: BlobStore, bad: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: store.append(bad, BytesIO(b"x"), offset=0),
        lambda: store.commit(bad, EMPTY),
        lambda: store.size(bad),
        lambda: store.digest(bad),
        lambda: store.cancel(bad),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="UUID"):
            call()


class PausedStream(Stream):
    """Stops in the middle until it is told to go on."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.started, self.go_on = Event(), Event()

    def read(self, size: int = -1) -> bytes:
        piece = super().read(size)
        self.started.set()
        self.go_on.wait(30)
        return piece


def test_two_writers_cannot_mix_their_bytes(store: BlobStore, key: str) -> None:
    paused = PausedStream(CONTENT)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.append, key, cast(BinaryIO, paused), offset=0)
        paused.started.wait(30)
        with pytest.raises(UploadBusyError):
            store.append(key, BytesIO(b"x"), offset=0)
        with pytest.raises(UploadBusyError):
            store.commit(key, EMPTY)
        paused.go_on.set()
        assert first.result().digest == DIGEST
    assert store.digest(key) == DIGEST


def test_many_writers_of_one_digest_end_with_one_good_blob(store: BlobStore) -> None:
    """Deletes take the directory away under the writers' feet; no writer may fail for it."""
    content = CONTENT[:5000]
    digest = Digest.of(content)

    def push(number: int) -> None:
        upload = str(uuid4())
        store.append(upload, BytesIO(content), offset=0)
        store.commit(upload, digest)
        if number % 3 == 0:
            store.delete(digest)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(200)))
    keep(store, content)
    assert read(store, digest) == content
    assert [blob.digest for blob in store.blobs()] == [digest]
    assert list(store.uploads()) == []


def test_one_upload_committed_by_many_at_once_is_committed_once(store: BlobStore) -> None:
    def commit(upload: str) -> None:
        with suppress(UploadBusyError):
            store.commit(upload, DIGEST)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            upload = str(uuid4())
            store.append(upload, BytesIO(CONTENT), offset=0)
            list(pool.map(commit, [upload] * 4))
            assert read(store, DIGEST) == CONTENT
            assert store.size(upload) == 0
            store.delete(DIGEST)


def test_an_unknown_driver_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown storage driver 'tape'; known are filesystem, memory"):
        open_store("tape://x", tmp_path)


class Zeros:
    """A body of any length that takes no memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int) -> bytes:
        piece = bytes(min(size, self._left))
        self._left -= len(piece)
        return piece


class ZerosInto(Zeros):
    def readinto(self, buffer: memoryview) -> int:
        return len(self.read(len(buffer)))


@pytest.mark.parametrize("kind", [Zeros, ZerosInto])
def test_a_big_upload_takes_little_memory(files: BlobStore, key: str, kind: type[Zeros]) -> None:
    tracemalloc.start()
    try:
        files.append(key, cast(BinaryIO, kind(64 * MIB)), offset=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert files.size(key) == 64 * MIB
    assert peak < 8 * MIB


def test_a_volume_of_distribution_can_be_read(files: BlobStore, tmp_path: Path) -> None:
    place = tmp_path / "blobs" / "sha256" / DIGEST.hex[:2] / DIGEST.hex / "data"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert files.stat(DIGEST) == len(CONTENT)
    assert files.path(DIGEST) == place
    assert [blob.digest for blob in files.blobs()] == [DIGEST]
    assert files.url(DIGEST) is None


def test_a_blob_can_be_sent_by_the_kernel_from_any_byte(files: BlobStore) -> None:
    keep(files, CONTENT)
    with files.open(DIGEST, 1000) as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 1000


def test_strange_files_in_the_volume_are_no_blobs(files: BlobStore, tmp_path: Path) -> None:
    keep(files, CONTENT)
    blobs = tmp_path / "blobs" / "sha256"
    (blobs / "README").write_text("not ours")
    (blobs / "zz" / DIGEST.hex).mkdir(parents=True)
    (blobs / DIGEST.hex[:2] / "link").mkdir()
    (tmp_path / "uploads" / "lost+found").mkdir()
    assert [blob.digest for blob in files.blobs()] == [DIGEST]
    assert list(files.uploads()) == []


def test_a_damaged_blob_is_healed_by_the_next_push(files: BlobStore) -> None:
    keep(files, CONTENT)
    path = files.path(DIGEST)
    assert path is not None
    path.write_bytes(b"damaged")
    keep(files, CONTENT)
    assert read(files, DIGEST) == CONTENT


def test_the_store_knows_how_much_room_there_is(files: BlobStore) -> None:
    capacity = files.capacity()
    assert capacity is not None
    assert 0 < capacity.free <= capacity.total


def test_bytes_are_on_disk_before_their_name(files: BlobStore, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(files, CONTENT)  # makes the directories whose making is synced, too
    calls: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def recorded(*args: Any) -> Any:
            is_directory = isinstance(args[0], int) and os.path.isdir(f"/proc/self/fd/{args[0]}")
            calls.append(f"{name} directory" if is_directory else name)
            return real(*args)

        monkeypatch.setattr(os, name, recorded)

    for name in ("fsync", "fdatasync", "replace"):
        record(name)
    files.append(key, BytesIO(CONTENT), offset=0)
    files.commit(key, DIGEST)
    assert calls == ["fdatasync", "fsync", "replace", "fsync directory", "fsync directory"]
    calls.clear()
    keep(files, CONTENT)
    assert calls == ["fdatasync", "replace", "fsync directory", "fsync directory"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond `size` fails as on a full disk, without a disk to fill and without being root."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("before", [0, 1000])
def test_a_full_disk_leaves_the_upload_as_it_was(files: BlobStore, key: str, before: int) -> None:
    files.append(key, BytesIO(CONTENT[:before]), offset=0)
    with largest_file(2 * MIB + 5), pytest.raises(StorageFullError):
        files.append(key, BytesIO(CONTENT[before:]), offset=before)
    assert files.size(key) == before
    files.append(key, BytesIO(CONTENT[before:]), offset=before)
    assert files.digest(key) == DIGEST


def test_a_full_disk_leaves_nothing_of_a_put(files: BlobStore) -> None:
    with largest_file(2 * MIB), pytest.raises(StorageFullError):
        files.put(BytesIO(CONTENT), DIGEST)
    assert files.stat(DIGEST) is None
    assert list(files.uploads()) == []


@pytest.mark.parametrize("call", ["open", "fsync", "fdatasync", "mkdir", "replace"])
def test_a_disk_found_full_late_is_named_and_the_upload_goes_on(
    files: BlobStore, key: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Some file systems find out only when they sync, and a directory needs room as well."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def push() -> None:
        done = files.size(key)
        files.append(key, BytesIO(CONTENT[done:]), offset=done)
        files.commit(key, DIGEST)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(StorageFullError):
            push()
    assert files.stat(DIGEST) is None
    push()
    assert read(files, DIGEST) == CONTENT


PRELUDE = """
import os, signal, sys
from io import BytesIO
from pathlib import Path
from registry.oci.digest import Digest
from registry.storage import open_store

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def die_after(real):
    def call(*args):
        real(*args)
        die()
    return call

root, key = Path(sys.argv[1]), sys.argv[2]
store = open_store("filesystem", root)
content = (root / "content").read_bytes()
digest = Digest.of(content)
"""


def run_until_killed(root: Path, key: str, script: str) -> None:
    """Run `script` in a process of its own, which must end by SIGKILL."""
    (root / "content").write_bytes(CONTENT)
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(root), key]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def test_an_upload_whose_process_was_killed_goes_on(files: BlobStore, tmp_path: Path, key: str) -> None:
    script = """
        class Body(BytesIO):
            def readinto(self, buffer):
                if self.tell() > 2_000_000:
                    die()
                return super().readinto(buffer)

        store.append(key, Body(content), offset=0)
    """
    run_until_killed(tmp_path, key, script)
    size = files.size(key)
    assert 0 < size < len(CONTENT)
    files.append(key, BytesIO(CONTENT[size:]), offset=size)
    assert files.digest(key) == DIGEST
    files.commit(key, DIGEST)
    assert read(files, DIGEST) == CONTENT


@pytest.mark.parametrize("moment", ["die", "die_after({})"], ids=["before", "after"])
@pytest.mark.parametrize("call", ["os.fsync", "os.mkdir", "os.replace"])
def test_a_commit_whose_process_was_killed_can_be_done_again(
    files: BlobStore, tmp_path: Path, key: str, call: str, moment: str
) -> None:
    script = f"""
        store.append(key, BytesIO(content), offset=0)
        {call} = {moment.format(call)}
        store.commit(key, digest)
    """
    run_until_killed(tmp_path, key, script)
    assert files.stat(DIGEST) in (None, len(CONTENT))
    files.commit(key, DIGEST)
    assert read(files, DIGEST) == CONTENT
    assert list(files.uploads()) == []


def test_a_killed_put_leaves_an_upload_for_the_clean_up(files: BlobStore, tmp_path: Path, key: str) -> None:
    run_until_killed(tmp_path, key, "os.replace = die; store.put(BytesIO(content), digest)")
    assert files.stat(DIGEST) is None
    assert list(files.blobs()) == []
    (left,) = files.uploads()
    files.cancel(left.key)
    assert list(files.uploads()) == []


def test_processes_share_a_volume(tmp_path: Path, key: str) -> None:
    open_store("filesystem", tmp_path).append(key, BytesIO(CONTENT), offset=0)
    open_store("filesystem", tmp_path).commit(key, DIGEST)
    assert read(open_store("filesystem", tmp_path), DIGEST) == CONTENT


# --- what is kept and not served ------------------------------------------------------------------


def test_a_blob_is_set_aside_looked_at_and_put_back(store: BlobStore) -> None:
    store.put(BytesIO(CONTENT), DIGEST)
    assert store.set_aside(DIGEST)
    assert not store.set_aside(DIGEST)
    assert store.stat(DIGEST) is None
    assert list(store.blobs()) == []
    with pytest.raises(BlobMissingError):
        store.open(DIGEST)
    assert [(found.digest, found.size) for found in store.aside()] == [(DIGEST, len(CONTENT))]
    with store.open_aside(DIGEST) as file:
        assert file.read() == CONTENT
    assert store.put_back(DIGEST)
    assert not store.put_back(DIGEST)
    with store.open(DIGEST) as file:
        assert file.read() == CONTENT
    assert list(store.aside()) == []


def test_what_was_set_aside_never_replaces_a_blob_that_came_since(store: BlobStore) -> None:
    store.put(BytesIO(CONTENT), DIGEST)
    store.set_aside(DIGEST)
    store.put(BytesIO(CONTENT), DIGEST)
    assert not store.put_back(DIGEST)
    assert store.stat(DIGEST) == len(CONTENT)
    store.drop_aside(DIGEST)
    store.drop_aside(DIGEST)
    assert list(store.aside()) == []
    with pytest.raises(BlobMissingError):
        store.open_aside(DIGEST)
    assert store.stat(DIGEST) == len(CONTENT)
