"""Garbage collection, while the registry goes on: what nothing needs is marked, checked again and removed.

1. Untagged artifacts go, if that was asked for.
2. A link goes when no artifact of its repository needs the blob, nobody who may push asked for it during the grace,
   and nothing is being uploaded to the repository.
3. A blob that nobody links is marked (`delete`); under its lock, still unlinked, it becomes `deleting`; then its
   bytes go, then its row. Pushing it again takes the mark away. Only who finds no `deleting` row may link a blob.
4. Bytes without a row, left by a crash, go the same way, under a row made for the purpose.

A crash leaves at worst a row in `deleting`, which the next run finishes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.exclusive import exclusive
from harborsite.db.retry import retried
from harborsite.errors import Conflict
from harborsite.principal import Principal
from projects.models import Project
from projects.services import quotas
from registry.models import ArtifactReference, Blob, BlobLink, BlobUpload
from registry.oci.digest import Digest
from registry.services import blobs, deletes, uploads
from registry.storage import store

logger = logging.getLogger("registry.gc")

GRACE = timedelta(hours=2)
_BATCH = 100


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
    """One pass: its limits, what it found so far, and what a dry run pretends to have removed."""

    cutoff: datetime
    grace: timedelta
    dry_run: bool
    report: Callable[[str], None]
    result: Result = field(default_factory=Result)
    doomed_artifacts: set[int] = field(default_factory=set)
    doomed_links: dict[int, set[int]] = field(default_factory=dict)  # blob to links

    def freed(self, size: int) -> None:
        self.result.blobs += 1
        self.result.bytes += size


class AlreadyRunning(Conflict):
    default_message = "garbage collection is running already"


def run(
    *,
    dry_run: bool = False,
    delete_untagged: bool = False,
    grace: timedelta = GRACE,
    actor: Principal | str = "system",
    report: Callable[[str], None] = logger.info,
) -> Result:
    """Collect once, or say what would be collected. `report` hears of each step, and may raise to stop the run."""
    with exclusive("gc") as mine:
        if not mine:
            raise AlreadyRunning
        pass_ = _Run(timezone.now() - grace, grace, dry_run, report)
        if delete_untagged:
            _delete_untagged(pass_, actor)
        _drop_links(pass_)
        _remove_blobs(pass_)
        _remove_strays(pass_)
        if not dry_run:
            pass_.result.uploads = uploads.clean_up()
            for project in Project.objects.iterator():
                quotas.recount(project)
            _record(pass_.result, actor)
    result = pass_.result
    report(
        f"{result.manifests} manifests, {result.blobs} blobs, {result.bytes} bytes {'to free' if dry_run else 'freed'}"
    )
    return result


def _record(result: Result, actor: Principal | str) -> None:
    audit.record(
        actor=actor,
        operation=Operation.DELETE,
        resource_type=ResourceType.GARBAGE_COLLECTION,
        resource="registry",
        data={"manifests": result.manifests, "blobs": result.blobs, "bytes": result.bytes},
    )


def _delete_untagged(pass_: _Run, actor: Principal | str) -> None:
    rows = deletes.untagged(pushed_before=pass_.cutoff).select_related("repository__project").order_by("pk")
    for artifact in list(rows):
        if pass_.dry_run:
            doomed = deletes.with_dependents(artifact, pushed_before=pass_.cutoff)
            pass_.doomed_artifacts.update(one.pk for one in doomed)
            pass_.result.manifests = len(pass_.doomed_artifacts)
        else:
            gone = deletes.delete_untagged(artifact=artifact, pushed_before=pass_.cutoff, actor=actor)
            pass_.result.manifests += gone
        pass_.report(f"untagged artifact {artifact.repository.name}@{artifact.digest}")


# --- Links ------------------------------------------------------------------------------------------------


def _drop_links(pass_: _Run) -> None:
    for links in _old_links(pass_.cutoff):
        unneeded = _unneeded(links, pass_)
        if pass_.dry_run:
            for link in unneeded:
                pass_.doomed_links.setdefault(link.blob_id, set()).add(link.pk)
        elif unneeded:
            _drop(unneeded, pass_)


def _old_links(cutoff: datetime) -> Iterator[list[BlobLink]]:
    """All links that nobody has asked for during the grace, in batches, by key."""
    last = 0
    rows = BlobLink.objects.filter(update_time__lt=cutoff).select_related("blob").order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:_BATCH]):
        yield batch
        last = batch[-1].pk


def _unneeded(links: Sequence[BlobLink], pass_: _Run) -> list[BlobLink]:
    names = {link.repository_name for link in links}
    references = ArtifactReference.objects.filter(
        artifact__repository__name__in=names, digest__in={link.blob.digest for link in links}
    ).values_list("artifact_id", "artifact__repository__name", "digest")
    needed = {(name, digest) for artifact, name, digest in references if artifact not in pass_.doomed_artifacts}
    busy = set(BlobUpload.objects.filter(repository_name__in=names).values_list("repository_name", flat=True))
    return [
        link
        for link in links
        if link.repository_name not in busy and (link.repository_name, link.blob.digest) not in needed
    ]


@retried
def _drop(links: Sequence[BlobLink], pass_: _Run) -> None:
    """Under lock and looked at again: a push that wrote its references before us is seen, a later one sees us."""
    with transaction.atomic():
        for project_id in sorted({link.project_id for link in links}):
            quotas.hold(project_id=project_id)
        pks = [link.pk for link in links]
        locked = BlobLink.objects.select_for_update().filter(pk__in=pks, update_time__lt=pass_.cutoff).order_by("pk")
        still = {link.pk for link in locked}
        unneeded = _unneeded([link for link in links if link.pk in still], pass_)
        BlobLink.objects.filter(pk__in=[link.pk for link in unneeded]).delete()
        for link in unneeded:
            held = BlobLink.objects.filter(project=link.project_id, blob=link.blob_id, counted=True)
            if link.counted and not held.exists():
                quotas.release(project=link.project, size=link.blob.size)


# --- Blobs ------------------------------------------------------------------------------------------------


def _remove_blobs(pass_: _Run) -> None:
    if pass_.dry_run:
        _count_removable(pass_)
        return
    with transaction.atomic():
        unlinked = Blob.objects.filter(status=Blob.Status.NONE, links=None, update_time__lt=pass_.cutoff)
        marked = list(unlinked.values_list("pk", flat=True))
        for some in blobs.chunks(marked):
            Blob.objects.filter(pk__in=some, status=Blob.Status.NONE).update(status=Blob.Status.DELETE)
    doomed = Blob.objects.exclude(status=Blob.Status.NONE).order_by("pk").values_list("pk", flat=True)
    for some in blobs.chunks(list(doomed)):
        _remove(_claim(some), pass_)


def _count_removable(pass_: _Run) -> None:
    """Blobs that nobody links, or that lose their last link."""
    for size in Blob.objects.filter(links=None, update_time__lt=pass_.cutoff).values_list("size", flat=True):
        pass_.freed(size)
    for some in blobs.chunks(list(pass_.doomed_links)):
        kept = BlobLink.objects.filter(blob__in=some).values_list("blob_id", "pk")
        living = {blob for blob, link in kept if link not in pass_.doomed_links[blob]}
        going = Blob.objects.filter(pk__in=set(some) - living, update_time__lt=pass_.cutoff)
        for size in going.values_list("size", flat=True):
            pass_.freed(size)


@retried
def _claim(pks: Sequence[int]) -> list[Blob]:
    """Take those that are still marked and unlinked, so that nobody links them any more."""
    with transaction.atomic():
        locked = Blob.objects.select_for_update().filter(pk__in=pks).exclude(status=Blob.Status.NONE).order_by("pk")
        rows = list(locked)
        linked = set(BlobLink.objects.filter(blob__in=rows).values_list("blob_id", flat=True))
        Blob.objects.filter(pk__in=linked).update(status=Blob.Status.NONE)
        claimed = [blob for blob in rows if blob.pk not in linked]
        Blob.objects.filter(pk__in=[blob.pk for blob in claimed]).update(status=Blob.Status.DELETING)
    return claimed


def _remove(claimed: Iterable[Blob], pass_: _Run) -> None:
    """Bytes first: a row without bytes is found again by the next run, bytes without a row are looked for."""
    gone, failed = [], []
    for blob in claimed:
        try:
            store().delete(Digest.parse(blob.digest))
        except OSError:
            logger.exception("blob not deleted", extra={"digest": blob.digest})
            failed.append(blob.pk)
        else:
            gone.append(blob.pk)
            pass_.freed(blob.size)
            pass_.report(f"blob {blob.digest}, {blob.size} bytes")
    pass_.result.failed += len(failed)
    with transaction.atomic():
        Blob.objects.filter(pk__in=gone, status=Blob.Status.DELETING).delete()
        Blob.objects.filter(pk__in=failed).update(status=Blob.Status.DELETE_FAILED)


def _remove_strays(pass_: _Run) -> None:
    """Bytes that were committed by a push which died before it wrote its rows."""
    old = (found for found in store().blobs() if found.age > pass_.grace.total_seconds())
    batch: dict[str, int] = {}
    for found in old:
        batch[str(found.digest)] = found.size
        if len(batch) == _BATCH:
            _remove_unknown(batch, pass_)
            batch = {}
    _remove_unknown(batch, pass_)


def _remove_unknown(batch: dict[str, int], pass_: _Run) -> None:
    known = set(Blob.objects.filter(digest__in=batch).values_list("digest", flat=True))
    for digest, size in batch.items():
        if digest in known:
            continue
        if pass_.dry_run:
            pass_.freed(size)
        elif (claimed := _claim_unknown(digest, size)) is not None:
            _remove([claimed], pass_)


def _claim_unknown(digest: str, size: int) -> Blob | None:
    try:
        with transaction.atomic():
            return Blob.objects.create(digest=digest, size=size, status=Blob.Status.DELETING)
    except IntegrityError:
        return None  # pushed meanwhile
