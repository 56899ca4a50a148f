"""Checking the storage: whether every blob has its bytes, and every byte its row; what is wrong is set aside.

A damaged blob (wrong bytes, or none) is marked, and from then on neither served nor mounted: clients that push send
it again, which heals it. Wrong bytes are moved aside, to be looked at or purged. So are bytes that no row knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, BinaryIO, Final

from django.db import models, transaction
from django.db.models import QuerySet, Sum

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.exclusive import exclusive
from harborsite.principal import Principal
from registry.models import Blob, BlobLink
from registry.oci.digest import Digest, new_hasher
from registry.services import blobs, gc
from registry.storage import BlobMissingError, store
from registry.storage.streams import steps

logger = logging.getLogger("registry.check")

_BATCH: Final = 200
_HOLDERS_NAMED: Final = 5
Progress = Callable[[int, int, int, int], None]


class Fault(models.TextChoices):
    """What is wrong with a blob."""

    MISSING = "missing"  # a row without bytes
    DAMAGED = "damaged"  # other bytes than the digest says
    UNKNOWN = "unknown"  # bytes without a row


@dataclass(frozen=True, slots=True)
class Finding:
    """One blob that is not as it should be; `repositories` are some of those that hold it, by their full names."""

    digest: str
    fault: Fault
    size: int
    repositories: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What was looked at and found. Sizes are those of the rows, of unknown ones those of the files."""

    blobs: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    healed: int = 0
    set_aside: int = 0
    purged: int = 0
    quarantined: int = 0  # are aside when the check ends

    @property
    def is_healthy(self) -> bool:
        return not self.findings


def check(
    *,
    quick: bool = False,
    quarantine: bool = False,
    purge: bool = False,
    grace: timedelta = gc.GRACE,
    actor: Principal | str = "system",
    found: Callable[[Finding], None] = lambda finding: None,
    progress: Progress = lambda done, total, size, whole: None,
) -> Report:
    """Look at every blob; the server may run, and be pushed to and pulled from.

    `quick` looks at sizes only and reads nothing. `quarantine` marks and sets aside what is wrong, and heals what is
    well again; without it nothing is changed. `purge` removes what is aside, for good. Files younger than `grace` may
    belong to a push that is not over. `found` hears of each fault at once, `progress` of blobs and bytes done and of
    all. Raises AlreadyRunning while garbage is collected.
    """
    with exclusive("gc") as mine:
        if not mine:
            raise gc.AlreadyRunning
        report = Report()
        _check_rows(report, quick, quarantine, found, progress)
        _check_files(report, quarantine, grace, found)
        if purge:
            report.purged = _purge()
        report.quarantined = sum(1 for _ in store().aside())
        if quarantine or purge:
            _record(report, actor)
    return report


def _check_rows(
    report: Report, quick: bool, quarantine: bool, found: Callable[[Finding], None], progress: Progress
) -> None:
    rows = Blob.objects.exclude(status__in=Blob.DOOMED)
    total, whole = rows.count(), rows.aggregate(size=Sum("size"))["size"] or 0
    for blob in _by_key(rows):
        fault = _fault(blob, quick)
        report.blobs += 1
        report.bytes += blob.size
        if fault is None:
            if quarantine and not quick and blob.status == Blob.Status.DAMAGED:
                report.healed += _mark(blob, Blob.Status.DAMAGED, Blob.Status.NONE)
        elif not _is_there(blob):
            continue  # garbage collection, or whoever deleted it, was faster
        elif quarantine and _restore(blob):
            report.healed += 1
        else:
            finding = Finding(blob.digest, fault, blob.size, _holders(blob))
            report.findings.append(finding)
            found(finding)
            if quarantine:
                report.set_aside += _quarantine(blob)
        progress(report.blobs, max(total, report.blobs), report.bytes, max(whole, report.bytes))


def _by_key(rows: QuerySet[Blob]) -> Iterator[Blob]:
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        yield from batch
        last = batch[-1].pk


def _fault(blob: Blob, quick: bool) -> Fault | None:
    digest = Digest.parse(blob.digest)
    size = store().stat(digest)
    if size is None:
        return Fault.MISSING
    if size != blob.size:
        return Fault.DAMAGED
    if quick:
        return None
    try:
        with store().open(digest) as file:
            return None if _is(file, digest) else Fault.DAMAGED
    except BlobMissingError:
        return Fault.MISSING
    except OSError:  # a disk that cannot read its sectors
        logger.exception("blob not readable", extra={"digest": blob.digest})
        return Fault.DAMAGED


def _is(file: BinaryIO, digest: Digest) -> bool:
    hasher = new_hasher(digest.algorithm)
    for piece in steps(file):
        hasher.update(piece)
    return hasher.hexdigest() == digest.hex


def _is_there(blob: Blob) -> bool:
    return Blob.objects.filter(pk=blob.pk).exclude(status__in=Blob.DOOMED).exists()


def _holders(blob: Blob) -> tuple[str, ...]:
    links = BlobLink.objects.filter(blob=blob).order_by("repository_name")
    return tuple(links.values_list("repository_name", flat=True)[:_HOLDERS_NAMED])


def _mark(blob: Blob, old: Blob.Status, new: Blob.Status) -> int:
    with transaction.atomic():
        return Blob.objects.filter(pk=blob.pk, status=old).update(status=new)


def _quarantine(blob: Blob) -> int:
    """Mark first, then move: whoever pushes it from now on makes it healthy by linking it again.

    A push may have replaced the bytes since they were read; so they are read once more where nobody reaches them.
    """
    digest = Digest.parse(blob.digest)
    _mark(blob, Blob.Status.NONE, Blob.Status.DAMAGED)
    if not store().set_aside(digest):
        return 0
    return 0 if _restore(blob) else 1


def _restore(blob: Blob) -> bool:
    """Put back what is aside, if its bytes are right after all."""
    digest = Digest.parse(blob.digest)
    try:
        with store().open_aside(digest) as file:
            is_right = _is(file, digest)
    except (BlobMissingError, OSError):
        return False
    if not is_right or not store().put_back(digest):
        return False
    _mark(blob, Blob.Status.DAMAGED, Blob.Status.NONE)
    return True


def _check_files(report: Report, quarantine: bool, grace: timedelta, found: Callable[[Finding], None]) -> None:
    old = (each for each in store().blobs() if each.age > grace.total_seconds())
    for some in blobs.chunks(old):
        by_digest = {str(each.digest): each for each in some}
        known = set(Blob.objects.filter(digest__in=by_digest).values_list("digest", flat=True))
        unknown = {digest: each for digest, each in by_digest.items() if digest not in known}
        for digest, each in unknown.items():
            finding = Finding(digest, Fault.UNKNOWN, each.size)
            report.findings.append(finding)
            found(finding)
        if quarantine and unknown:
            claimed = gc.claim_strays(unknown)
            report.set_aside += sum(store().set_aside(Digest.parse(row.digest)) for row in claimed)
            with transaction.atomic():
                Blob.objects.filter(pk__in=[row.pk for row in claimed], status=Blob.Status.DELETING).delete()


def _purge() -> int:
    purged = 0
    for each in list(store().aside()):
        store().drop_aside(each.digest)
        purged += 1
    return purged


def _record(report: Report, actor: Principal | str) -> None:
    counts: dict[str, Any] = {"healed": report.healed, "set_aside": report.set_aside, "purged": report.purged}
    audit.record(
        actor=actor,
        operation=Operation.UPDATE,
        resource_type=ResourceType.GARBAGE_COLLECTION,
        resource="storage",
        data={"faults": len(report.findings), **counts},
    )
