"""Garbage collection, while the registry goes on: what nothing needs is marked, checked again and removed.

1. Untagged artifacts go, if that was asked for and their tags' rules allow it.
2. A link goes when no artifact of its repository needs the blob, nobody who may push asked for it during the grace,
   and nothing is being uploaded to the repository.
3. A blob that nobody links is marked (`delete`); under its lock, still unlinked, it becomes `deleting`; then its
   bytes go, then its row. Pushing it again takes the mark away. Only who finds no `deleting` row may link a blob.
4. Bytes without a row, left by a crash, go the same way, under a row made for the purpose.

A crash leaves at worst a row in `deleting`, which the next run finishes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.exclusive import exclusive
from harborsite.db.retry import retried
from harborsite.errors import AppError, Conflict
from harborsite.principal import Principal
from projects.models import Project
from projects.services import quotas
from registry.models import Blob, BlobLink
from registry.oci.digest import Digest
from registry.services import blobs, deletes, garbage, preview, uploads
from registry.storage import StoredBlob, store

logger = logging.getLogger("registry.gc")

GRACE = timedelta(hours=2)
MAX_WORKERS = 10
_BATCH = 500

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Result:
    """What was freed, or in a dry run would be."""

    manifests: int = 0
    blobs: int = 0
    bytes: int = 0
    uploads: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Run:
    """One pass: its limits, how it removes files, and what it did so far."""

    cutoff: datetime
    grace: timedelta
    files: ThreadPoolExecutor
    report: Callable[[str], None]
    progress: Progress
    expected: int = 0
    done: int = 0
    result: Result = field(default_factory=Result)


class AlreadyRunning(Conflict):
    default_message = "garbage collection is running already"


def run(
    *,
    dry_run: bool = False,
    delete_untagged: bool = False,
    grace: timedelta = GRACE,
    workers: int = 1,
    actor: Principal | str = "system",
    report: Callable[[str], None] = logger.info,
    progress: Progress = lambda done, total: None,
) -> Result:
    """Collect once, or say what would be collected.

    `report` hears of each step, and may raise to stop the run. `progress` hears how many blobs are done of how many.
    So many `workers` remove files side by side. A run that ends in between, however it ends, is finished by the next.
    """
    if dry_run:
        return _rehearse(delete_untagged, grace, report)
    with _alone(), ThreadPoolExecutor(max(1, min(workers, MAX_WORKERS)), "gc") as files:
        pass_ = _Run(timezone.now() - grace, grace, files, report, progress)
        pass_.result.uploads = uploads.clean_up()  # first, as an upload keeps the links of its repository
        if delete_untagged:
            _delete_untagged(pass_, actor)
        _drop_links(pass_)
        _remove_blobs(pass_)
        _remove_strays(pass_)
        for project in Project.objects.iterator():
            quotas.recount(project)
        _record(pass_.result, actor)
    result = pass_.result
    report(_("{manifests} manifests, {blobs} blobs, {bytes} bytes freed").format(**_figures(result)))
    return result


def _figures(found: Result | preview.Preview) -> dict[str, int]:
    return {"manifests": found.manifests, "blobs": found.blobs, "bytes": found.bytes}


@contextmanager
def _alone() -> Iterator[None]:
    with exclusive("gc") as mine:
        if not mine:
            raise AlreadyRunning
        yield


def _rehearse(delete_untagged: bool, grace: timedelta, report: Callable[[str], None]) -> Result:
    found = preview.compute(
        delete_untagged=delete_untagged, grace=grace, check_stop=lambda: report(_("looking for what nothing needs"))
    )
    line = _("{title} {name}: {manifests} manifests, {blobs} blobs, {exclusive} bytes exclusive, {shared} bytes shared")
    for title, shares in (
        (_("project"), found.projects),
        (_("repository"), found.repositories),
        (_("untagged artifact"), found.artifacts),
    ):
        for share in shares:
            report(
                line.format(
                    title=title,
                    name=share.name,
                    manifests=share.manifests,
                    blobs=share.blobs,
                    exclusive=share.exclusive,
                    shared=share.shared,
                )
            )
    report(_("held by no repository: {bytes} bytes").format(bytes=found.unheld))
    report(_("{manifests} manifests, {blobs} blobs, {bytes} bytes to free").format(**_figures(found)))
    return Result(manifests=found.manifests, blobs=found.blobs, bytes=found.bytes)


def _record(result: Result, actor: Principal | str) -> None:
    audit.record(
        actor=actor,
        operation=Operation.DELETE,
        resource_type=ResourceType.GARBAGE_COLLECTION,
        resource="registry",
        data={"manifests": result.manifests, "blobs": result.blobs, "bytes": result.bytes},
    )


def _delete_untagged(pass_: _Run, actor: Principal | str) -> None:
    keys = deletes.untagged(pushed_before=pass_.cutoff).order_by("pk").values_list("pk", flat=True)
    for some in blobs.chunks(list(keys)):
        rows = deletes.untagged(pushed_before=pass_.cutoff).filter(pk__in=some).order_by("pk")
        for artifact in rows.select_related("repository__project"):
            name = f"{artifact.repository.name}@{artifact.digest}"
            try:
                gone = deletes.delete_untagged(artifact=artifact, pushed_before=pass_.cutoff, actor=actor)
            except AppError as refusal:  # such as a signature with an immutable tag
                pass_.report(_("untagged artifact {name} stays: {reason}").format(name=name, reason=refusal.message))
                continue
            pass_.result.manifests += gone
            pass_.report(_("untagged artifact {name}").format(name=name))


# --- Links ------------------------------------------------------------------------------------------------


def _drop_links(pass_: _Run) -> None:
    for name in garbage.repositories(cutoff=pass_.cutoff):
        unneeded = garbage.unneeded_links(repository_name=name, cutoff=pass_.cutoff)
        for some in blobs.chunks(list(unneeded.values_list("pk", flat=True)), _BATCH):
            _drop(some, name, pass_.cutoff)
            pass_.report(_("repository {name} lets go of {count} blobs").format(name=name, count=len(some)))


@retried
def _drop(pks: Sequence[int], repository_name: str, cutoff: datetime) -> None:
    """Under lock and looked at again: a push that wrote its references before us is seen, a later one sees us."""
    with transaction.atomic():
        project = Project.objects.filter(blob_links__in=pks).first()
        if project is None:
            return
        quotas.hold(project_id=project.pk)
        locked = BlobLink.objects.select_for_update().filter(pk__in=pks, update_time__lt=cutoff).order_by("pk")
        links = BlobLink.objects.filter(pk__in=[link.pk for link in locked]).select_related("blob")
        unneeded = garbage.still_unneeded(list(links), repository_name=repository_name)
        BlobLink.objects.filter(pk__in=[link.pk for link in unneeded]).delete()
        counted = {link.blob_id: link.blob.size for link in unneeded if link.counted}
        held = BlobLink.objects.filter(project=project, blob__in=counted, counted=True)
        elsewhere = set(held.values_list("blob_id", flat=True))
        if freed := sum(size for blob, size in counted.items() if blob not in elsewhere):
            quotas.release(project=project, size=freed)


# --- Blobs ------------------------------------------------------------------------------------------------


def _remove_blobs(pass_: _Run) -> None:
    for some in blobs.chunks(list(garbage.unlinked_blobs(cutoff=pass_.cutoff).values_list("pk", flat=True))):
        _mark(some, pass_.cutoff)
    doomed = list(garbage.doomed_blobs().order_by("pk").values_list("pk", flat=True))
    pass_.expected = len(doomed)
    pass_.report(_("{count} blobs are marked").format(count=len(doomed)))
    for some in blobs.chunks(doomed, _BATCH):
        _remove(_claim(some), pass_)


@retried
def _mark(pks: Sequence[int], cutoff: datetime) -> None:
    with transaction.atomic():
        garbage.unlinked_blobs(cutoff=cutoff).filter(pk__in=pks).update(status=Blob.Status.DELETE)


@retried
def _claim(pks: Sequence[int]) -> list[Blob]:
    """Take those that are still marked and unlinked, so that nobody links them any more."""
    with transaction.atomic():
        rows = list(garbage.doomed_blobs().select_for_update().filter(pk__in=pks).order_by("pk"))
        linked = set(BlobLink.objects.filter(blob__in=rows).values_list("blob_id", flat=True))
        Blob.objects.filter(pk__in=linked).update(status=Blob.Status.NONE)
        claimed = [blob for blob in rows if blob.pk not in linked]
        Blob.objects.filter(pk__in=[blob.pk for blob in claimed]).update(status=Blob.Status.DELETING)
    return claimed


def _remove(claimed: Sequence[Blob], pass_: _Run) -> None:
    """Bytes first: a row without bytes is found again by the next run, bytes without a row are looked for."""
    gone: list[int] = []
    failed: list[int] = []
    for blob, removed in zip(claimed, pass_.files.map(_remove_file, claimed), strict=True):
        (gone if removed else failed).append(blob.pk)
        if removed:
            pass_.result.blobs += 1
            pass_.result.bytes += blob.size
    pass_.result.failed += len(failed)
    with transaction.atomic():
        Blob.objects.filter(pk__in=gone, status=Blob.Status.DELETING).delete()
        Blob.objects.filter(pk__in=failed).update(status=Blob.Status.DELETE_FAILED)
    pass_.done += len(claimed)
    pass_.progress(pass_.done, pass_.expected)
    for blob in claimed:
        pass_.report(_("blob {digest}, {size} bytes").format(digest=blob.digest, size=blob.size))


def _remove_file(blob: Blob) -> bool:
    try:
        store().delete(Digest.parse(blob.digest))
    except OSError:
        logger.exception("blob not deleted", extra={"digest": blob.digest})
        return False
    return True


def _remove_strays(pass_: _Run) -> None:
    """Bytes that were committed by a push which died before it wrote its rows."""
    old = (found for found in store().blobs() if found.age > pass_.grace.total_seconds())
    for some in blobs.chunks(old, _BATCH):
        claimed = claim_strays({str(found.digest): found for found in some})
        if claimed:
            pass_.expected += len(claimed)
            _remove(claimed, pass_)


@retried
def claim_strays(found: Mapping[str, StoredBlob]) -> list[Blob]:
    """Make a row in `deleting` for each that has none, so that nobody links it meanwhile.

    Whoever pushes one of them in the same moment makes us look again.
    """
    known = set(Blob.objects.filter(digest__in=found).values_list("digest", flat=True))
    unknown = [digest for digest in found if digest not in known]
    if not unknown:
        return []
    with transaction.atomic():
        Blob.objects.bulk_create(
            Blob(digest=digest, size=found[digest].size, status=Blob.Status.DELETING) for digest in unknown
        )
        return list(Blob.objects.filter(digest__in=unknown))
