"""Blobs in the memory of one process: for tests, and for a look round that leaves nothing behind."""

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from registry.oci.digest import SHA256, Digest
from registry.storage import paths
from registry.storage.base import (
    Appended,
    BlobMissingError,
    Capacity,
    DigestMismatchError,
    OffsetMismatchError,
    StoredBlob,
    StoredUpload,
    UploadBusyError,
    UploadUnknownError,
)
from registry.storage.streams import steps


class MemoryStore:
    def __init__(self) -> None:
        self._lock = Lock()
        self._blobs: dict[Digest, tuple[bytes, float]] = {}
        self._aside: dict[Digest, tuple[bytes, float]] = {}
        self._uploads: dict[str, tuple[bytearray, float]] = {}
        self._writing: set[str] = set()

    def append(self, upload: str, stream: BinaryIO, *, offset: int, algorithm: str = SHA256) -> Appended:
        key = paths.upload_key(upload)
        with self._lock:
            if key in self._writing:
                raise UploadBusyError
            content, _ = self._uploads.get(key, (bytearray(), 0.0))
            if len(content) != offset:
                raise OffsetMismatchError(len(content))
            self._writing.add(key)
        try:
            for piece in steps(stream):
                content += piece
        finally:
            with self._lock:
                self._writing.discard(key)
                self._uploads[key] = (content, time.time())
        return Appended(len(content), Digest.of(content, algorithm) if offset == 0 else None)

    def commit(self, upload: str, digest: Digest) -> None:
        key = paths.upload_key(upload)
        with self._lock:
            if key in self._writing:
                raise UploadBusyError
            content, written = self._uploads.pop(key, (None, 0.0))
            if content is not None:
                self._blobs[digest] = (bytes(content), written)
            elif digest not in self._blobs:
                if digest != Digest.of(b"", digest.algorithm):
                    raise UploadUnknownError(upload)
                self._blobs[digest] = (b"", time.time())

    def put(self, stream: BinaryIO, digest: Digest) -> int:
        content = b"".join(bytes(piece) for piece in steps(stream))
        actual = Digest.of(content, digest.algorithm)
        if actual != digest:
            raise DigestMismatchError(actual)
        with self._lock:
            self._blobs[digest] = (content, time.time())
        return len(content)

    def size(self, upload: str) -> int:
        return len(self._content(upload))

    def digest(self, upload: str, algorithm: str = SHA256) -> Digest:
        return Digest.of(self._content(upload), algorithm)

    def cancel(self, upload: str) -> None:
        with self._lock:
            self._uploads.pop(paths.upload_key(upload), None)

    def stat(self, digest: Digest) -> int | None:
        blob = self._blobs.get(digest)
        return len(blob[0]) if blob else None

    def open(self, digest: Digest, start: int = 0) -> BinaryIO:
        blob = self._blobs.get(digest)
        if blob is None:
            raise BlobMissingError(str(digest))
        file = BytesIO(blob[0])
        file.seek(start)
        return file

    def path(self, digest: Digest) -> Path | None:
        return None

    def url(self, digest: Digest) -> str | None:
        return None

    def delete(self, digest: Digest) -> None:
        with self._lock:
            self._blobs.pop(digest, None)

    def blobs(self) -> Iterator[StoredBlob]:
        now = time.time()
        for digest, (content, written) in list(self._blobs.items()):
            yield StoredBlob(digest, len(content), now - written)

    def uploads(self) -> Iterator[StoredUpload]:
        now = time.time()
        for key, (content, written) in list(self._uploads.items()):
            yield StoredUpload(key.rpartition("/")[2], len(content), now - written)

    def set_aside(self, digest: Digest) -> bool:
        with self._lock:
            blob = self._blobs.pop(digest, None)
            if blob is not None:
                self._aside[digest] = blob
        return blob is not None

    def put_back(self, digest: Digest) -> bool:
        with self._lock:
            if digest in self._blobs or digest not in self._aside:
                return False
            self._blobs[digest] = self._aside.pop(digest)
        return True

    def open_aside(self, digest: Digest) -> BinaryIO:
        blob = self._aside.get(digest)
        if blob is None:
            raise BlobMissingError(str(digest))
        return BytesIO(blob[0])

    def drop_aside(self, digest: Digest) -> None:
        with self._lock:
            self._aside.pop(digest, None)

    def aside(self) -> Iterator[StoredBlob]:
        now = time.time()
        for digest, (content, written) in list(self._aside.items()):
            yield StoredBlob(digest, len(content), now - written)

    def capacity(self) -> Capacity | None:
        return None

    def _content(self, upload: str) -> bytearray:
        content, _ = self._uploads.get(paths.upload_key(upload), (bytearray(), 0.0))
        return content
