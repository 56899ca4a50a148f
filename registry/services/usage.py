"""What is stored on whose account: bytes that go with something, bytes that others hold as well, and garbage.

A blob counts once, however often it is held. Manifests are rows of the database and are not counted here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value, When

from registry.models import ArtifactReference, Blob, BlobLink, Repository
from registry.services import blobs
from registry.services.kinship import Kinship


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of the distinct blobs that a project or a repository holds, in three parts.

    `unique` is needed by its artifacts and held by nobody else, `shared` is needed by them and held by others too,
    `reclaimable` is needed by no artifact of any holder: garbage collection frees it once the grace is over.
    """

    unique: int = 0
    shared: int = 0
    reclaimable: int = 0

    @property
    def total(self) -> int:
        return self.unique + self.shared + self.reclaimable


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an artifact needs with all that goes with it: `exclusive` is freed if it alone goes, `shared` is not.

    Its tags were read on the way.
    """

    exclusive: int = 0
    shared: int = 0
    tags: Sequence[str] = field(default=(), compare=False)


def of_project(project_id: int) -> Usage:
    """Two queries at most, whose time grows with the references in the project (250,000 of them: about 2 s)."""
    return _usage(
        held=BlobLink.objects.filter(project=project_id),
        needed=ArtifactReference.objects.filter(artifact__repository__project=project_id),
        elsewhere=BlobLink.objects.filter(blob=OuterRef("pk")).exclude(project=project_id),
    )


def of_repository(repository: Repository) -> Usage:
    """The same for a repository; others are all other repositories, of the same project too."""
    return _usage(
        held=BlobLink.objects.filter(repository_name=repository.name),
        needed=ArtifactReference.objects.filter(artifact__repository=repository),
        elsewhere=BlobLink.objects.filter(blob=OuterRef("pk")).exclude(repository_name=repository.name),
    )


def largest_repositories(project_id: int, most: int) -> list[tuple[str, int]]:
    """Names and bytes of the repositories that hold most, garbage included; one query."""
    held = BlobLink.objects.filter(project=project_id, repository_name__in=_names(project_id))
    sums = held.values_list("repository_name").annotate(size=Sum("blob__size")).order_by("-size", "repository_name")
    return [(name, size) for name, size in sums[:most]]


def _names(project_id: int) -> QuerySet[Repository, str]:
    """A link may be older than its repository: a push whose manifest never came."""
    return Repository.objects.filter(project=project_id).values_list("name", flat=True)


def _usage(*, held: QuerySet[BlobLink], needed: QuerySet[ArtifactReference], elsewhere: QuerySet[BlobLink]) -> Usage:
    # The digests that are needed are gathered once: to look for each blob's references one by one would go through
    # all references to an empty layer, which every repository has, as many times as there are repositories.
    is_needed = Q(digest__in=needed.values("digest"))
    rows = Blob.objects.filter(pk__in=held.values("blob"))
    grouped = rows.annotate(
        needed=Case(When(is_needed, then=Value(1)), default=Value(0), output_field=IntegerField()),
        elsewhere=Exists(elsewhere),
    )
    sums: dict[tuple[bool, bool], int] = {
        (bool(needed_here), bool(held_elsewhere)): size
        for needed_here, held_elsewhere, size in grouped.order_by()
        .values_list("needed", "elsewhere")
        .annotate(Sum("size"))
    }
    unneeded = sums.get((False, False), 0)  # held by nobody else, and not needed here
    if (False, True) in sums:
        unneeded += _needed_by_nobody(rows.exclude(is_needed).filter(Exists(elsewhere)))
    return Usage(unique=sums.get((True, False), 0), shared=sums.get((True, True), 0), reclaimable=unneeded)


def _needed_by_nobody(rows: QuerySet[Blob]) -> int:
    """Bytes of those that no artifact of any repository which holds them needs."""
    in_another_place = ArtifactReference.objects.filter(
        digest=OuterRef(OuterRef("digest")), artifact__repository__name=OuterRef("repository_name")
    )
    needed_by_a_holder = BlobLink.objects.filter(Exists(in_another_place), blob=OuterRef("pk"))
    return rows.exclude(Exists(needed_by_a_holder)).aggregate(size=Sum("size"))["size"] or 0


def of_artifacts(repository_id: int, keys: Collection[int]) -> Mapping[int, Footprint]:
    """Footprints of artifacts of one repository, by their primary keys.

    What goes with an artifact: its accessories, and of an index the parts that have no tag and are in no other index.
    """
    kin = Kinship.around(repository_id, keys)
    groups = {key: kin.closure(key) for key in keys if key in kin.digests}
    needs: dict[int, list[str]] = defaultdict(list)
    sizes: dict[str, int] = {}  # of those that are here: a manifest may name what has not arrived
    size = Subquery(Blob.objects.filter(digest=OuterRef("digest")).values("size")[:1])
    for some in blobs.chunks({pk for group in groups.values() for pk in group}):
        rows = ArtifactReference.objects.filter(artifact__in=some).values_list("artifact_id", "digest", size)
        for pk, digest, stored in rows:
            needs[pk].append(digest)
            sizes[digest] = stored or 0
    needed_by = _needed_by(sizes)
    return {
        key: _footprint([needs[pk] for pk in group], sizes, needed_by, sorted(kin.tags.get(key, ())))
        for key, group in groups.items()
    }


def _footprint(
    needs: Iterable[list[str]], sizes: Mapping[str, int], needed_by: Mapping[str, int], tags: Sequence[str]
) -> Footprint:
    inside = Counter(digest for each in needs for digest in each)
    exclusive = sum(sizes[digest] for digest, count in inside.items() if needed_by[digest] == count)
    return Footprint(exclusive, sum(sizes[digest] for digest in inside) - exclusive, tags)


def _needed_by(digests: Collection[str]) -> dict[str, int]:
    """How many artifacts, anywhere, need each."""
    found: dict[str, int] = {}
    for some in blobs.chunks(digests):
        rows = ArtifactReference.objects.filter(digest__in=some).order_by()
        found.update(rows.values_list("digest").annotate(Count("pk")))
    return found
