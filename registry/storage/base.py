"""What a store of bytes promises; it knows digests and upload keys, and no model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from registry.oci.digest import SHA256, Digest


class StorageError(Exception):
    """The store could not do what was asked."""


class OffsetMismatchError(StorageError):
    """The upload does not end where the caller wants to go on; `size` is where it does."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the upload holds {size} bytes")
        self.size = size


class DigestMismatchError(StorageError):
    """The bytes have another digest than announced: `actual`."""

    def __init__(self, actual: Digest) -> None:
        super().__init__(f"the content is {actual}")
        self.actual = actual


class StorageFullError(StorageError):
    """No room (or quota of the disk) left; nothing that was stored before is lost."""


class UploadBusyError(StorageError):
    """Another writer is appending to this upload right now."""


class UploadUnknownError(StorageError):
    """There is nothing to commit under this key."""


class BlobMissingError(StorageError):
    """The store does not hold this digest."""


@dataclass(frozen=True, slots=True)
class Appended:
    """`size` of the upload after an append; `digest` of all of it, known only if the append began at 0."""

    size: int
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as the store finds it; `age` in seconds since it was written."""

    digest: Digest
    size: int
    age: float


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload as the store finds it; `age` in seconds since its last byte."""

    key: str
    size: int
    age: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes of the place that the store is kept in."""

    total: int
    free: int


class BlobStore(Protocol):
    """Uploads grow under a key (a UUID) and become blobs under their digest.

    An upload that nobody has written to is empty, not unknown: there is nothing to create first.
    """

    def append(self, upload: str, stream: BinaryIO, *, offset: int, algorithm: str = SHA256) -> Appended:
        """Write all of `stream` at `offset`, which must be the upload's size.

        What is reported is on disk. If the stream breaks, its error is raised and what had arrived is kept.
        If the disk is full, the upload is as it was before. One writer at a time: the others are refused.
        """
        ...

    def commit(self, upload: str, digest: Digest) -> None:
        """Make the upload the blob `digest`, durably; twice is once. The caller has compared the digests."""
        ...

    def put(self, stream: BinaryIO, digest: Digest) -> int:
        """Store `stream` as the blob `digest` in one go and return its size; other content is refused."""
        ...

    def size(self, upload: str) -> int:
        """The truth about how far an upload came, also after a broken append or a crash."""
        ...

    def digest(self, upload: str, algorithm: str = SHA256) -> Digest:
        """The digest of the whole upload, by reading it all again."""
        ...

    def cancel(self, upload: str) -> None:
        """Forget the upload; no error if it is gone."""
        ...

    def stat(self, digest: Digest) -> int | None:
        """The size of a blob, None if it is not here."""
        ...

    def open(self, digest: Digest, start: int = 0) -> BinaryIO:
        """The bytes of a blob from `start` on: a real file where there is one. Raises BlobMissingError."""
        ...

    def path(self, digest: Digest) -> Path | None:
        """The file of a blob for a web server to send, None if the store has no files."""
        ...

    def url(self, digest: Digest) -> str | None:
        """Where to redirect a client for the blob, None to stream it."""
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob; no error if it is gone."""
        ...

    def blobs(self) -> Iterator[StoredBlob]:
        """Every blob, in no order; those that come or go meanwhile may be missed."""
        ...

    def uploads(self) -> Iterator[StoredUpload]:
        """Every upload with bytes, in no order, those of a crashed `put` included."""
        ...

    def set_aside(self, digest: Digest) -> bool:
        """Move a blob, whatever its bytes are, to where it is kept and not served; False if there is none."""
        ...

    def put_back(self, digest: Digest) -> bool:
        """Move it back, unless the blob is here again or nothing is aside: then False."""
        ...

    def open_aside(self, digest: Digest) -> BinaryIO:
        """The bytes of what was set aside. Raises BlobMissingError."""
        ...

    def drop_aside(self, digest: Digest) -> None:
        """Remove what was set aside; no error if it is gone."""
        ...

    def aside(self) -> Iterator[StoredBlob]:
        """Everything that was set aside."""
        ...

    def capacity(self) -> Capacity | None:
        """How much room there is, None if that is not known."""
        ...
