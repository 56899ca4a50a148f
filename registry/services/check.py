"""Checking the storage: whether every blob has its bytes, and every byte its row; what is wrong is set aside.

A damaged blob (wrong bytes, or none) is marked, and from then on neither served nor mounted: clients that push send
it again, which heals it. Wrong bytes are moved aside, to be looked at or purged. So are bytes that no row knows.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
from registry.storage import BlobMissingError, StoredBlob, store
from registry.storage.streams import steps

logger = logging.getLogger("registry.check")

_BATCH: Final = 200
_HOLDERS_NAMED: Final = 5
_PATIENCE: Final = 1.0  # seconds between two looks whether garbage is still being collected
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
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)  # of this run, where an ended one is gone on with
    healed: int = 0
    set_aside: int = 0
    purged: int = 0
    quarantined: int = 0  # are aside when the check ends

    @property
    def is_healthy(self) -> bool:
        return not self.faults


@dataclass(slots=True)
class _Pass:
    """One check: how it goes about it, who hears of it, and what it found so far."""

    report: Report
    quick: bool
    quarantine: bool
    found: Callable[[Finding], None]
    progress: Progress
    check_stop: Callable[[], None]

    def tell(self, finding: Finding) -> None:
        self.report.faults += 1
        self.report.findings.append(finding)
        self.found(finding)


def check(
    *,
    quick: bool = False,
    quarantine: bool = False,
    purge: bool = False,
    grace: timedelta = gc.GRACE,
    actor: Principal | str = "system",
    found: Callable[[Finding], None] = lambda finding: None,
    progress: Progress = lambda done, total, size, whole: None,
    check_stop: Callable[[], None] = lambda: None,
    report: Report | None = None,
    after: int = 0,
    reached: Callable[[int], None] = lambda key: None,
) -> Report:
    """Look at every blob; the server may run, be pushed to and pulled from, and collect garbage.

    `quick` looks at sizes only and reads nothing. `quarantine` marks and sets aside what is wrong, and heals what is
    well again; without it nothing is changed. `purge` removes what is aside, for good. Files younger than `grace` may
    belong to a push that is not over. `found` hears of each fault at once, `progress` of blobs and bytes done and of
    all. `check_stop` is asked between two pieces of a blob, and ends the check by raising.

    A check that was ended goes on with its `report` behind the blob whose key `reached` heard last.
    """
    pass_ = _Pass(report or Report(), quick, quarantine, found, progress, check_stop)
    _check_rows(pass_, after, reached)
    _check_files(pass_, grace)
    report = pass_.report
    if purge:
        report.purged = _drop(each.digest for each in list(store().aside()))
    report.quarantined = sum(1 for _ in store().aside())
    if quarantine or purge:
        _record(report, actor)
    return report


def _check_rows(pass_: _Pass, after: int, reached: Callable[[int], None]) -> None:
    rows, report = Blob.objects.exclude(status__in=Blob.DOOMED), pass_.report
    total, whole = rows.count(), rows.aggregate(size=Sum("size"))["size"] or 0
    for blob in _by_key(rows, after):
        fault = _fault(blob, pass_)
        report.blobs += 1
        report.bytes += blob.size
        if fault is None:
            if pass_.quarantine and not pass_.quick and blob.status == Blob.Status.DAMAGED:
                report.healed += _mark(blob, Blob.Status.DAMAGED, Blob.Status.NONE)
        elif not _is_there(blob):
            continue  # garbage collection, or whoever deleted it, was faster
        elif pass_.quarantine and _restore(blob):
            report.healed += 1
        else:
            pass_.tell(Finding(blob.digest, fault, blob.size, _holders(blob)))
            if pass_.quarantine:
                report.set_aside += _quarantine(blob)
        pass_.progress(report.blobs, max(total, report.blobs), report.bytes, max(whole, report.bytes))
        reached(blob.pk)


def _by_key(rows: QuerySet[Blob], after: int) -> Iterator[Blob]:
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:_BATCH]):
        yield from batch
        after = batch[-1].pk


def _fault(blob: Blob, pass_: _Pass) -> Fault | None:
    digest = Digest.parse(blob.digest)
    size = store().stat(digest)
    pass_.check_stop()
    if size is None:
        return Fault.MISSING
    if size != blob.size:
        return Fault.DAMAGED
    if pass_.quick:
        return None
    try:
        with store().open(digest) as file:
            return None if _is(file, digest, pass_.check_stop) else Fault.DAMAGED
    except BlobMissingError:
        return Fault.MISSING
    except OSError:  # a disk that cannot read its sectors
        logger.exception("blob not readable", extra={"digest": blob.digest})
        return Fault.DAMAGED


def _is(file: BinaryIO, digest: Digest, check_stop: Callable[[], None] = lambda: None) -> bool:
    hasher = new_hasher(digest.algorithm)
    for piece in steps(file):
        check_stop()
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


def _check_files(pass_: _Pass, grace: timedelta) -> None:
    old = (each for each in store().blobs() if each.age > grace.total_seconds())
    for some in blobs.chunks(old):
        pass_.check_stop()
        by_digest = {str(each.digest): each for each in some}
        known = set(Blob.objects.filter(digest__in=by_digest).values_list("digest", flat=True))
        unknown = {digest: each for digest, each in by_digest.items() if digest not in known}
        for digest, each in list(unknown.items()):
            if store().stat(each.digest) is None:
                del unknown[digest]  # garbage collection was faster
            else:
                pass_.tell(Finding(digest, Fault.UNKNOWN, each.size))
        if pass_.quarantine and unknown:
            pass_.report.set_aside += _set_aside(unknown, pass_.check_stop)


def _set_aside(unknown: Mapping[str, StoredBlob], check_stop: Callable[[], None]) -> int:
    """Only while no garbage is collected: that would take the rows away which keep pushes off these bytes."""
    while True:
        with exclusive("gc") as mine:
            if mine:
                claimed = gc.claim_strays(unknown)
                moved = sum(store().set_aside(Digest.parse(row.digest)) for row in claimed)
                with transaction.atomic():
                    Blob.objects.filter(pk__in=[row.pk for row in claimed], status=Blob.Status.DELETING).delete()
                return moved
        check_stop()
        time.sleep(_PATIENCE)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that are aside. `status` is the blob's whose they should be, None where nothing needs them."""

    digest: str
    size: int
    status: Blob.Status | None
    repositories: Sequence[str]


def quarantined() -> list[Quarantined]:
    """What is aside, in the order of the digests; with some of the repositories that hold it."""
    aside = {str(each.digest): each.size for each in store().aside()}
    status: dict[str, Blob.Status] = {}
    holders: dict[str, list[str]] = defaultdict(list)
    for some in blobs.chunks(sorted(aside)):
        rows = Blob.objects.filter(digest__in=some).values_list("digest", "status")
        status |= {digest: Blob.Status(found) for digest, found in rows}
        links = BlobLink.objects.filter(blob__digest__in=some).order_by("repository_name")
        for digest, name in links.values_list("blob__digest", "repository_name"):
            holders[digest].append(name)
    return [
        Quarantined(digest, size, status.get(digest), holders[digest][:_HOLDERS_NAMED])
        for digest, size in sorted(aside.items())
    ]


def purge(*, digests: Collection[str], actor: Principal | str) -> int:
    """Remove these of what is aside, for good; returns how many were there."""
    wanted = [each.digest for each in list(store().aside()) if str(each.digest) in digests]
    purged = _drop(wanted)
    audit.record(
        actor=actor,
        operation=Operation.DELETE,
        resource_type=ResourceType.GARBAGE_COLLECTION,
        resource="quarantine",
        data={"purged": purged},
    )
    return purged


def _drop(digests: Iterable[Digest]) -> int:
    purged = 0
    for digest in digests:
        store().drop_aside(digest)
        purged += 1
    return purged


def _record(report: Report, actor: Principal | str) -> None:
    counts: dict[str, Any] = {"healed": report.healed, "set_aside": report.set_aside, "purged": report.purged}
    audit.record(
        actor=actor,
        operation=Operation.UPDATE,
        resource_type=ResourceType.GARBAGE_COLLECTION,
        resource="storage",
        data={"faults": report.faults, **counts},
    )
