"""Blobs as files on one local or shared disk, in the layout of distribution."""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final
from uuid import uuid4

from registry.oci.digest import HASHERS, SHA256, Digest, DigestError, Hasher, new_hasher
from registry.storage import paths
from registry.storage.base import (
    Appended,
    BlobMissingError,
    Capacity,
    DigestMismatchError,
    OffsetMismatchError,
    StorageFullError,
    StoredBlob,
    StoredUpload,
    UploadBusyError,
    UploadUnknownError,
)
from registry.storage.streams import STEP, steps

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PREFIXES: Final = 256
_WRITE_BACK_EVERY: Final = 8 * STEP


class FilesystemStore:
    """Safe for many processes at once: files appear under a digest by rename, whole and synced to disk."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        for algorithm in HASHERS:
            os.makedirs(f"{self._root}/{paths.BLOBS}/{algorithm}", exist_ok=True)
        os.makedirs(f"{self._root}/{paths.UPLOADS}", exist_ok=True)
        usual = f"{self._root}/{paths.BLOBS}/{SHA256}"
        if len(os.listdir(usual)) < _PREFIXES:  # made at once, as each would cost a sync of its own
            for number in range(_PREFIXES):
                os.makedirs(f"{usual}/{number:02x}", exist_ok=True)
        for directory in (usual, f"{self._root}/{paths.BLOBS}", self._root):
            _sync_directory(directory)

    def append(self, upload: str, stream: BinaryIO, *, offset: int, algorithm: str = SHA256) -> Appended:
        hasher = new_hasher(algorithm) if offset == 0 else None
        file = self._open_upload(upload, create=offset == 0)
        try:
            _lock(file)
            if not _is_at(file, self._upload(upload)):
                raise UploadBusyError  # committed or cancelled between opening and locking
            size = os.fstat(file).st_size
            if size != offset:
                raise OffsetMismatchError(size)
            try:
                written = _pour(stream, file, hasher, offset)
            except StorageFullError:
                os.ftruncate(file, offset)
                raise
        finally:
            os.close(file)
        return Appended(offset + written, Digest(algorithm, hasher.hexdigest()) if hasher else None)

    def commit(self, upload: str, digest: Digest) -> None:
        source = self._upload(upload)
        try:
            file = os.open(source, os.O_RDWR)
        except FileNotFoundError:
            self._commit_absent(upload, digest)
            return
        try:
            _lock(file)  # held until the file has left the writers' reach
            if _is_at(file, source):
                with _full_disk_named():
                    os.fsync(file)
                self._place(source, digest)
            else:
                self._commit_absent(upload, digest)
        finally:
            os.close(file)

    def put(self, stream: BinaryIO, digest: Digest) -> int:
        source = self._upload(str(uuid4()))
        hasher = new_hasher(digest.algorithm)
        try:
            with _full_disk_named():
                file = os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                size = _pour(stream, file, hasher)
            finally:
                os.close(file)
            actual = Digest(digest.algorithm, hasher.hexdigest())
            if actual != digest:
                raise DigestMismatchError(actual)
            self._place(source, digest)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(source)
            raise
        return size

    def size(self, upload: str) -> int:
        found = _stat(self._upload(upload))
        return found.st_size if found else 0

    def digest(self, upload: str, algorithm: str = SHA256) -> Digest:
        try:
            with open(self._upload(upload), "rb") as file:
                return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())
        except FileNotFoundError:
            return Digest.of(b"", algorithm)

    def cancel(self, upload: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._upload(upload))

    def stat(self, digest: Digest) -> int | None:
        found = _stat(self._blob(digest))
        return found.st_size if found else None

    def open(self, digest: Digest, start: int = 0) -> BinaryIO:
        try:
            file = open(self._blob(digest), "rb")  # noqa: SIM115 - the caller's to close
        except FileNotFoundError:
            raise BlobMissingError(str(digest)) from None
        if start:
            file.seek(start)
        return file

    def path(self, digest: Digest) -> Path | None:
        return Path(self._blob(digest))

    def url(self, digest: Digest) -> str | None:
        return None

    def delete(self, digest: Digest) -> None:
        blob = self._blob(digest)
        with suppress(FileNotFoundError):
            os.unlink(blob)
        with suppress(OSError):  # gone already, or a commit has just put the blob back
            os.rmdir(os.path.dirname(blob))

    def blobs(self) -> Iterator[StoredBlob]:
        now = time.time()
        for algorithm in HASHERS:
            for prefix in _names(f"{self._root}/{paths.BLOBS}/{algorithm}"):
                for name in _names(f"{self._root}/{paths.BLOBS}/{algorithm}/{prefix}"):
                    digest = paths.digest_of(f"{paths.BLOBS}/{algorithm}/{prefix}/{name}/data")
                    found = _stat(self._blob(digest)) if digest else None
                    if digest and found:
                        yield StoredBlob(digest, found.st_size, now - found.st_mtime)

    def uploads(self) -> Iterator[StoredUpload]:
        now = time.time()
        for name in _names(f"{self._root}/{paths.UPLOADS}"):
            found = _stat(self._upload(name)) if paths.is_upload(name) else None
            if found:
                yield StoredUpload(name, found.st_size, now - found.st_mtime)

    def set_aside(self, digest: Digest) -> bool:
        source, target = self._blob(digest), self._aside(digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.replace(source, target)
        except FileNotFoundError:
            return False
        _sync_directory(os.path.dirname(target))
        with suppress(OSError):  # a commit has just put the blob back
            _sync_directory(os.path.dirname(source))
            os.rmdir(os.path.dirname(source))
        return True

    def put_back(self, digest: Digest) -> bool:
        source, target = self._aside(digest), self._blob(digest)
        _make_directory(os.path.dirname(target))
        try:
            os.link(source, target)  # never over a blob that has been pushed again
        except (FileExistsError, FileNotFoundError):
            return False
        _sync_directory(os.path.dirname(target))
        _sync_directory(os.path.dirname(os.path.dirname(target)))
        self.drop_aside(digest)
        return True

    def open_aside(self, digest: Digest) -> BinaryIO:
        try:
            return open(self._aside(digest), "rb")
        except FileNotFoundError:
            raise BlobMissingError(str(digest)) from None

    def drop_aside(self, digest: Digest) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._aside(digest))

    def aside(self) -> Iterator[StoredBlob]:
        now = time.time()
        for algorithm in HASHERS:
            for name in _names(f"{self._root}/{paths.ASIDE}/{algorithm}"):
                found = _stat(f"{self._root}/{paths.ASIDE}/{algorithm}/{name}")
                with suppress(DigestError):
                    if found:
                        yield StoredBlob(Digest(algorithm, name), found.st_size, now - found.st_mtime)

    def capacity(self) -> Capacity | None:
        disk = os.statvfs(self._root)
        return Capacity(total=disk.f_blocks * disk.f_frsize, free=disk.f_bavail * disk.f_frsize)

    def _blob(self, digest: Digest) -> str:
        return f"{self._root}/{paths.blob_key(digest)}"

    def _aside(self, digest: Digest) -> str:
        return f"{self._root}/{paths.aside_key(digest)}"

    def _upload(self, upload: str) -> str:
        return f"{self._root}/{paths.upload_key(upload)}"

    def _open_upload(self, upload: str, *, create: bool) -> int:
        flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT if create else 0)
        try:
            with _full_disk_named():
                return os.open(self._upload(upload), flags, 0o644)
        except FileNotFoundError:
            raise OffsetMismatchError(0) from None

    def _commit_absent(self, upload: str, digest: Digest) -> None:
        """There is no file: it was committed before, or nothing was ever written to it."""
        if self.stat(digest) is not None:
            return
        if digest != Digest.of(b"", digest.algorithm):
            raise UploadUnknownError(upload)
        self.put(BytesIO(), digest)

    def _place(self, source: str, digest: Digest) -> None:
        """Rename a synced file to its blob's name; a blob that is there is replaced, which heals a damaged one."""
        target = self._blob(digest)
        directory = os.path.dirname(target)
        prefix = os.path.dirname(directory)
        with _full_disk_named():
            while True:
                _make_directory(directory)
                try:
                    os.replace(source, target)
                except FileNotFoundError:
                    if os.path.exists(source):  # a delete took the directory away again
                        continue
                    if not os.path.exists(target):
                        raise UploadUnknownError(os.path.basename(source)) from None
                break
            with suppress(FileNotFoundError):  # deleted since
                _sync_directory(directory)
            _sync_directory(prefix)


def _pour(stream: BinaryIO, file: int, hasher: Hasher | None, offset: int = 0) -> int:
    """Write all of `stream` to disk; full pieces are hashed meanwhile, where there is a second thread for it."""
    end = written_back = offset
    hashing: Future[None] | None = None
    with _second_thread() as lane:
        for piece in steps(stream):
            if hashing is not None:
                hashing.result()
            if hasher is not None and lane is not None and len(piece) == STEP:
                hashing = lane.submit(hasher.update, piece)
            elif hasher is not None:
                hasher.update(piece)
            _write(file, piece)
            end += len(piece)
            if end - written_back >= _WRITE_BACK_EVERY:
                # Starts writing out without waiting, so that the sync at the end has little left to do.
                os.posix_fadvise(file, written_back, end - written_back, os.POSIX_FADV_DONTNEED)
                written_back = end
    with _full_disk_named():
        os.fdatasync(file)
    return end - offset


@contextmanager
def _second_thread() -> Iterator[ThreadPoolExecutor | None]:
    """For one stream of the process: with several, there is enough to do for all processors anyway."""
    if not _spare.acquire(blocking=False):
        yield None
        return
    try:
        with ThreadPoolExecutor(max_workers=1) as lane:
            yield lane
    finally:
        _spare.release()


_spare: Final = Lock()


def _write(file: int, piece: bytes | memoryview) -> None:
    with _full_disk_named():
        done = os.write(file, piece)
        while done < len(piece):
            done += os.write(file, piece[done:])


def _lock(file: int) -> None:
    """Keep other writers off an open upload; the lock ends with the descriptor, and so with the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusyError from None


def _is_at(file: int, path: str) -> bool:
    found = _stat(path)
    return found is not None and os.path.samestat(found, os.fstat(file))


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        parent = os.path.dirname(path)
        os.makedirs(parent, exist_ok=True)
        _sync_directory(os.path.dirname(parent))
        with suppress(FileExistsError):
            os.mkdir(path)


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(os.strerror(error.errno)) from error
        raise
