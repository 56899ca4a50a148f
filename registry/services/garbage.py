"""Finding what nothing needs: read by garbage collection, which looks again under locks, and by its preview.

Everything is asked repository by repository, with one query for each: to look for the artifacts that need a blob
blob by blob would go through all references to an empty layer once for each repository that has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from django.db.models import Q, QuerySet

from registry.models import ArtifactReference, Blob, BlobLink, BlobUpload


def repositories(*, cutoff: datetime) -> Iterator[str]:
    """Full names of those with links that nobody asked for since `cutoff`, and to which nothing is being uploaded."""
    busy = set(BlobUpload.objects.order_by().values_list("repository_name", flat=True).distinct())
    old = BlobLink.objects.filter(update_time__lt=cutoff).order_by("repository_name")
    for name in list(old.values_list("repository_name", flat=True).distinct()):
        if name not in busy:
            yield name


def unneeded_links(*, repository_name: str, cutoff: datetime) -> QuerySet[BlobLink]:
    """Links that no artifact of the repository needs and nobody asked for since `cutoff`."""
    needed = ArtifactReference.objects.filter(artifact__repository__name=repository_name)
    links = BlobLink.objects.filter(repository_name=repository_name, update_time__lt=cutoff)
    return links.exclude(blob__digest__in=needed.values("digest")).order_by("pk")


def still_unneeded(links: Collection[BlobLink], *, repository_name: str) -> list[BlobLink]:
    """Those of `links`, which are few, that are unneeded now; call it with the links locked."""
    if BlobUpload.objects.filter(repository_name=repository_name).exists():
        return []
    references = ArtifactReference.objects.filter(
        artifact__repository__name=repository_name, digest__in=[link.blob.digest for link in links]
    )
    needed = set(references.values_list("digest", flat=True))
    return [link for link in links if link.blob.digest not in needed]


def unlinked_blobs(*, cutoff: datetime) -> QuerySet[Blob]:
    """Blobs that no repository holds, and nobody pushed since `cutoff`."""
    return Blob.objects.filter(links=None, update_time__lt=cutoff, status__in=(Blob.Status.NONE, Blob.Status.DAMAGED))


def doomed_blobs() -> QuerySet[Blob]:
    """Blobs that a run has marked, or that one began to remove and did not finish with."""
    return Blob.objects.filter(status__in=Blob.DOOMED)


def removable_blobs(*, cutoff: datetime) -> QuerySet[Blob]:
    """What a run would remove without dropping any link."""
    return Blob.objects.filter(Q(update_time__lt=cutoff) | Q(status__in=Blob.DOOMED), links=None)
