"""Uploads: bytes on their way to become blobs. No transaction is open while bytes flow.

Bytes first, rows second: a crash between leaves a stray file, which garbage collection finds. How far an upload
came is known by the store; its row remembers the digest of what it knows of, so that the bytes are read once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from harborsite.db.durability import may_be_lost_with_the_power
from harborsite.db.prepared import Change, Insert, Row, columns, instance, prepared, prepared_change
from harborsite.db.retry import retried
from harborsite.errors import AppError
from harborsite.principal import Principal
from projects.models import Project
from registry.errors import (
    BlobBusy,
    BlobUnknown,
    BlobUploadBusy,
    BlobUploadUnknown,
    ChunkOutOfOrder,
    DigestInvalid,
    StorageFull,
)
from registry.models import Blob, BlobUpload
from registry.oci.digest import SHA256, Digest
from registry.services import blobs, limits
from registry.storage import (
    Appended,
    DigestMismatchError,
    OffsetMismatchError,
    StorageFullError,
    UploadBusyError,
    UploadUnknownError,
    store,
)

logger = logging.getLogger("registry.uploads")

ABANDONED_AFTER = timedelta(days=1)
_SMALL = 1024 * 1024


def start(*, project: Project, repository_name: str, actor: Principal) -> BlobUpload:
    """A new upload, for this repository and this person alone."""
    upload = BlobUpload(project=project, repository_name=repository_name, username=actor.username)
    with may_be_lost_with_the_power(), transaction.atomic():
        _add(id=upload.pk, project_id=project.pk, repository_name=repository_name, username=actor.username)
    return upload


_add = Insert(BlobUpload)


@prepared
def _uploads(key: UUID, repository: str, username: str) -> QuerySet[BlobUpload, Row]:
    rows = BlobUpload.objects.filter(pk=key, repository_name=repository, username=username)
    return rows.values_list(*columns(BlobUpload))


@prepared_change
def _remove(key: UUID) -> Change:
    return Change(BlobUpload.objects.filter(pk=key), None)


@prepared_change
def _advance(key: UUID, offset: int, sha256: str, now: datetime) -> Change:
    values = {"offset": offset, "sha256": sha256, "update_time": now}
    return Change(BlobUpload.objects.filter(pk=key), values)


def get(*, upload_id: UUID, repository_name: str, actor: Principal) -> BlobUpload:
    """The upload, if it is of this repository and this person; somebody else's does not exist."""
    found = _uploads(upload_id, repository_name, actor.username)
    if not found:
        raise BlobUploadUnknown(detail={})
    return instance(BlobUpload, found[0])


def received(*, upload: BlobUpload) -> int:
    """How many bytes are here, also after a broken request or a crash."""
    return store().size(str(upload.pk))


def append(*, upload: BlobUpload, stream: BinaryIO, start: int | None) -> int:
    """Add a chunk that starts at `start` (None: wherever the upload ends) and return how many bytes are here.

    A stream that ends early raises; what arrived is kept, and the client may go on from there.
    """
    appended = _append(upload, stream, start=start)
    sha256 = appended.digest.hex if appended.digest else ""
    with may_be_lost_with_the_power(), transaction.atomic():
        _advance(upload.pk, appended.size, sha256, timezone.now())
    return appended.size


@limits.told
def finish(
    *,
    upload: BlobUpload,
    digest: Digest,
    stream: BinaryIO | None,
    start: int | None,
    project: Project,
    announced: int | None = None,
) -> Blob:
    """Take the last chunk, if there is one, and make the upload a blob of its repository, durably.

    Other content than announced is thrown away. `announced` is the length of the chunk, where that is known.
    """
    key = str(upload.pk)
    if stream is not None and not start and announced is not None and announced <= _SMALL and not store().size(key):
        return _finish_small(upload=upload, digest=digest, stream=stream, project=project, announced=announced)
    appended = _append(upload, stream, start=start, algorithm=digest.algorithm) if stream is not None else None
    size = appended.size if appended else store().size(key)
    if _digest(upload, appended, size, digest.algorithm) != digest:
        cancel(upload=upload)
        raise DigestInvalid(detail={"Digest": str(digest), "Reason": {}})
    blobs.prepare(project=project, digest=digest, size=size)
    with _storage_errors():
        store().commit(key, digest)
    return _record(project=project, repository_name=upload.repository_name, digest=digest, size=size, upload=upload)


def _finish_small(*, upload: BlobUpload, digest: Digest, stream: BinaryIO, project: Project, announced: int) -> Blob:
    """All of a small blob in one chunk: nobody needs to go on from its middle, and the store need not keep one."""
    blobs.prepare(project=project, digest=digest, size=announced)
    try:
        with _storage_errors():
            size = store().put(stream, digest)
    except DigestInvalid:
        cancel(upload=upload)
        raise DigestInvalid(detail={"Digest": str(digest), "Reason": {}}) from None
    return _record(project=project, repository_name=upload.repository_name, digest=digest, size=size, upload=upload)


@limits.told
def put(*, project: Project, repository_name: str, digest: Digest, stream: BinaryIO, announced: int) -> Blob:
    """Store a blob that comes whole in one request; `announced` bytes, or 0 where that is not known."""
    blobs.prepare(project=project, digest=digest, size=announced)
    with _storage_errors():
        size = store().put(stream, digest)
    return _record(project=project, repository_name=repository_name, digest=digest, size=size, upload=None)


def cancel(*, upload: BlobUpload) -> None:
    """Forget the upload and its bytes."""
    with may_be_lost_with_the_power(), transaction.atomic():
        BlobUpload.objects.filter(pk=upload.pk).delete()
    store().cancel(str(upload.pk))


def clean_up(*, older_than: timedelta = ABANDONED_AFTER) -> int:
    """Drop uploads that nobody has written to for `older_than`, rows and bytes; returns how many."""
    limit = older_than.total_seconds()
    ages = {found.key: found.age for found in store().uploads()}
    stale = BlobUpload.objects.filter(update_time__lt=timezone.now() - older_than)
    abandoned = [upload for upload in stale if ages.pop(str(upload.pk), limit) >= limit]
    for upload in abandoned:
        cancel(upload=upload)
    strays = [key for key, age in ages.items() if age >= limit and not BlobUpload.objects.filter(pk=key).exists()]
    for key in strays:
        store().cancel(key)
    return len(abandoned) + len(strays)


def _record(*, project: Project, repository_name: str, digest: Digest, size: int, upload: BlobUpload | None) -> Blob:
    """Write the rows of bytes that are in the store, and see that garbage collection has not just removed them."""
    try:
        blob = _write_rows(project=project, repository_name=repository_name, digest=digest, size=size, upload=upload)
    except AppError:
        if upload is not None:
            cancel(upload=upload)  # its bytes have moved, it cannot be gone on with
        raise
    if store().stat(digest) is None:
        with suppress(BlobUnknown):  # another push of the same bytes saw it first
            blobs.unlink(project=project, repository_name=repository_name, digest=digest)
        raise BlobBusy(headers={"Retry-After": "1"})
    logger.info("blob committed", extra={"digest": str(digest), "project": project.name, "size": size})
    return blob


@retried
def _write_rows(
    *, project: Project, repository_name: str, digest: Digest, size: int, upload: BlobUpload | None
) -> Blob:
    with transaction.atomic():
        blob = blobs.attach(project=project, repository_name=repository_name, digest=digest, size=size)
        if upload is not None:
            _remove(upload.pk)
    return blob


def _append(upload: BlobUpload, stream: BinaryIO, *, start: int | None, algorithm: str = SHA256) -> Appended:
    key = str(upload.pk)
    with _storage_errors():
        return store().append(key, stream, offset=store().size(key) if start is None else start, algorithm=algorithm)


def _digest(upload: BlobUpload, appended: Appended | None, size: int, algorithm: str) -> Digest:
    """Of all that is here; read again only if it did not pass in one piece."""
    if appended is not None and appended.digest is not None:
        return appended.digest
    if appended is None and algorithm == SHA256 and upload.sha256 and upload.offset == size:
        return Digest(SHA256, upload.sha256)
    return store().digest(str(upload.pk), algorithm)


@contextmanager
def _storage_errors() -> Iterator[None]:
    """What the store says, in the registry's words."""
    try:
        yield
    except OffsetMismatchError as error:
        raise ChunkOutOfOrder(error.size) from None
    except UploadBusyError:
        raise BlobUploadBusy from None
    except UploadUnknownError:
        raise BlobUploadUnknown(detail={}) from None
    except DigestMismatchError as error:
        raise DigestInvalid(detail={"Digest": str(error.actual), "Reason": {}}) from None
    except StorageFullError as error:
        logger.exception("storage is full")
        raise StorageFull from error
