"""Blobs and who holds them: finding, linking, mounting and letting go.

Locks are taken in one order everywhere: quota, then blob, then link. Garbage collection marks a blob only while
nobody links it and re-checks under the blob's lock, so whoever links a blob locks it first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from harborsite.db.exclusive import exclusive
from harborsite.db.prepared import Insert, Row, columns, instance, prepared
from harborsite.db.retry import retried
from projects.models import Project
from projects.services import quotas
from registry.errors import BlobBusy, BlobUnknown
from registry.models import ArtifactReference, Blob, BlobLink
from registry.oci.digest import Digest
from registry.services import limits
from registry.storage import store

RENEW_AFTER = timedelta(minutes=30)  # how stale the last sign of life may be, a fraction of the grace
_DELETING_PATIENCE = 5.0  # seconds; removing one file takes milliseconds
_IN_LIST = 500  # values in one IN (…)
_MOUNT_CANDIDATES = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldBlob:
    """A blob as one repository holds it."""

    digest: Digest
    size: int
    link_id: int
    asked_for: datetime  # pushed, mounted or asked for last by somebody who may push


def find(*, repository_name: str, digest: Digest) -> HeldBlob:
    """The blob, if this repository holds it and it is not damaged; one query. Raises BlobUnknown."""
    rows = _held(repository_name, str(digest))
    if not rows:
        raise BlobUnknown(detail=str(digest))
    return HeldBlob(digest, *rows[0])


@prepared
def _held(repository: str, digest: str) -> QuerySet[BlobLink, tuple[int, int, datetime]]:
    links = BlobLink.objects.filter(repository_name=repository, blob__digest=digest)
    links = links.exclude(blob__status=Blob.Status.DAMAGED)
    return links.values_list("blob__size", "pk", "update_time")


def keep(*, held: HeldBlob) -> None:
    """Somebody who may push asked whether the blob is here, and counts on it now: the grace starts anew.

    Writes at most once in `RENEW_AFTER`.
    """
    now = timezone.now()
    if held.asked_for < now - RENEW_AFTER:
        with transaction.atomic():
            BlobLink.objects.filter(pk=held.link_id).update(update_time=now)


def prepare(*, project: Project, digest: Digest, size: int) -> None:
    """Before bytes are committed: refuse what the quota has no room for, and keep garbage collection off the digest.

    A row that nobody links is renewed, so that it cannot be marked before the push has linked it. A removal that a
    crash has left in the middle is finished first.
    """
    deadline = time.monotonic() + _DELETING_PATIENCE
    while found := _blobs(str(digest)):
        blob = instance(Blob, found[0])
        if blob.status == Blob.Status.NONE and blob.update_time > timezone.now() - RENEW_AFTER:
            return
        if _rescue(blob.pk):
            return
        if time.monotonic() > deadline and not _finish_removal(blob):
            raise BlobBusy(headers={"Retry-After": "10"})
        time.sleep(0.05)
    quotas.check(project=project, size=size)


def _rescue(blob: int) -> bool:
    """Take the mark off a blob that is not being removed; one that is damaged stays so until its bytes are here."""
    now = timezone.now()
    with transaction.atomic():
        if Blob.objects.filter(pk=blob, status=Blob.Status.DAMAGED).update(update_time=now):
            return True
        marked = Blob.objects.filter(pk=blob).exclude(status__in=(Blob.Status.DELETING, Blob.Status.DAMAGED))
        return bool(marked.update(status=Blob.Status.NONE, update_time=now))


def _finish_removal(blob: Blob) -> bool:
    """If nobody is at it any more; as garbage collection does it, the bytes first."""
    with exclusive("gc") as mine:
        if not mine:
            return False
        store().delete(Digest.parse(blob.digest))
        with transaction.atomic():
            Blob.objects.filter(pk=blob.pk, status=Blob.Status.DELETING).delete()
    return True


@prepared
def _blobs(digest: str) -> QuerySet[Blob, Row]:
    return Blob.objects.filter(digest=digest).values_list(*columns(Blob))


@prepared
def _locked_blobs(digest: str) -> QuerySet[Blob, Row]:
    return Blob.objects.select_for_update().filter(digest=digest).values_list(*columns(Blob))


_add_blob = Insert(Blob)
_add_link = Insert(BlobLink)


def attach(*, project: Project, repository_name: str, digest: Digest, size: int) -> Blob:
    """Make the row and the link of bytes that are in the store; in the caller's transaction. Charges the quota.

    Whoever made the row in the same moment makes this raise IntegrityError; the caller starts again.
    """
    quotas.hold(project_id=project.pk)
    if found := _locked_blobs(str(digest)):
        blob = instance(Blob, found[0])
    else:
        blob = Blob(pk=_add_blob(digest=str(digest), size=size), digest=str(digest), size=size)
    if blob.status == Blob.Status.DELETING:
        raise BlobBusy(headers={"Retry-After": "10"})
    if blob.status != Blob.Status.NONE:
        blob.status = Blob.Status.NONE
        blob.save(update_fields=["status", "update_time"])
    _link(project=project, repository_name=repository_name, blob=blob)
    return blob


def _link(*, project: Project, repository_name: str, blob: Blob) -> None:
    """Link a locked blob, or renew its link; charge what the project did not count before."""
    counted: dict[str, bool] = dict(_links(project.pk, blob.pk))
    if repository_name not in counted:
        _add_link(project_id=project.pk, repository_name=repository_name, blob_id=blob.pk)
    else:
        links = BlobLink.objects.filter(repository_name=repository_name, blob=blob)
        links.update(counted=True, update_time=timezone.now())
    if not any(counted.values()):
        quotas.charge(project=project, size=blob.size)


@prepared
def _links(project: int, blob: int) -> QuerySet[BlobLink, tuple[str, bool]]:
    return BlobLink.objects.filter(project=project, blob=blob).values_list("repository_name", "counted")


@limits.told
@retried
def mount(*, project: Project, repository_name: str, digest: Digest, source: str) -> Blob | None:
    """Link a blob that `source` holds; None if it does not. The caller has checked that `source` may be read."""
    with transaction.atomic():
        quotas.hold(project_id=project.pk)
        blob = Blob.objects.select_for_update().filter(digest=str(digest)).first()
        if blob is None or not BlobLink.objects.filter(blob=blob, repository_name=source).exists():
            return None
        if blob.status in {Blob.Status.DELETING, Blob.Status.DAMAGED}:
            return None
        if blob.status != Blob.Status.NONE:
            blob.status = Blob.Status.NONE
            blob.save(update_fields=["status", "update_time"])
        _link(project=project, repository_name=repository_name, blob=blob)
    return blob


def mount_from_anywhere(
    *, project: Project, repository_name: str, digest: Digest, may_pull: Callable[[str, Project], bool]
) -> Blob | None:
    """Link a blob that any repository which the client may pull from holds; None if there is no such repository."""
    holders = BlobLink.objects.filter(blob__digest=str(digest)).select_related("project").order_by("pk")
    for holder in holders[:_MOUNT_CANDIDATES]:
        if may_pull(holder.repository_name, holder.project):
            return mount(project=project, repository_name=repository_name, digest=digest, source=holder.repository_name)
    return None


@retried
def unlink(*, project: Project, repository_name: str, digest: Digest) -> None:
    """Take the blob from this repository, at once; its bytes go with garbage collection. Raises BlobUnknown."""
    with transaction.atomic():
        quotas.hold(project_id=project.pk)
        blob = Blob.objects.select_for_update().filter(digest=str(digest)).first()
        link = BlobLink.objects.filter(blob=blob, repository_name=repository_name).first() if blob else None
        if blob is None or link is None:
            raise BlobUnknown(detail=str(digest))
        link.delete()
        if link.counted and not BlobLink.objects.filter(project=project, blob=blob, counted=True).exists():
            quotas.release(project=project, size=blob.size)


def let_go(*, project: Project, repository_name: str, digests: Collection[str]) -> int:
    """Stop counting those of `digests` that no artifact of the repository needs any more; in the caller's
    transaction, after the artifacts are gone. Returns the bytes that the quota got back.
    """
    unneeded = set(digests) - _needed(repository_name, digests)
    freed = 0
    for some in chunks(sorted(unneeded)):
        links = BlobLink.objects.filter(repository_name=repository_name, counted=True, blob__digest__in=some)
        sizes = dict(links.values_list("blob_id", "blob__size"))
        BlobLink.objects.filter(repository_name=repository_name, blob__in=sizes).update(counted=False)
        freed += sum(sizes.values()) - _counted_elsewhere(project, sizes)
    if freed:
        quotas.release(project=project, size=freed)
    return freed


def let_some_go(*, project: Project, repository_name: str) -> bool:
    """Stop counting some blobs of a repository without artifacts; in the caller's transaction. Whether there were so
    many that more may be left.
    """
    links = BlobLink.objects.filter(repository_name=repository_name, counted=True)
    digests = list(links.values_list("blob__digest", flat=True)[:_IN_LIST])
    let_go(project=project, repository_name=repository_name, digests=digests)
    return len(digests) == _IN_LIST


def count_again(*, project: Project, links: Collection[int]) -> None:
    """Charge the quota for links that it had stopped counting; in the caller's transaction."""
    let_go_before = BlobLink.objects.filter(pk__in=links, counted=False)
    sizes = dict(let_go_before.values_list("blob_id", "blob__size"))
    if not sizes:
        return
    size = sum(sizes.values()) - _counted_elsewhere(project, sizes)
    let_go_before.update(counted=True)
    quotas.charge(project=project, size=size)


def _counted_elsewhere(project: Project, sizes: Mapping[int, int]) -> int:
    """Bytes of those blobs that the quota counts through another repository of the project."""
    links = BlobLink.objects.filter(project=project, counted=True, blob__in=sizes)
    return sum(sizes[blob] for blob in set(links.values_list("blob_id", flat=True)))


def _needed(repository_name: str, digests: Collection[str]) -> set[str]:
    """Those of `digests` that an artifact of the repository refers to."""
    found: set[str] = set()
    for some in chunks(digests):
        references = ArtifactReference.objects.filter(artifact__repository__name=repository_name, digest__in=some)
        found.update(references.values_list("digest", flat=True))
    return found


def chunks(values: Iterable[T], size: int = _IN_LIST) -> Iterator[list[T]]:
    """`values` in pieces that fit into one IN (…) of any database."""
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece
