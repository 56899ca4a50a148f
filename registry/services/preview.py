"""What garbage collection would free if it ran now: in all, and on whose account. It changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from registry.models import ArtifactReference, Blob, BlobLink, Repository
from registry.policies.immutability import Rules
from registry.services import blobs, deletes, garbage
from registry.services.kinship import Kinship
from registry.storage import store


@dataclass(frozen=True, slots=True)
class Share:
    """What would be freed on account of one project, repository or untagged artifact.

    `exclusive` bytes are held by it alone; `shared` ones are held by others too, which all let go of them in the same
    run: they count once in the whole, and in each share. `manifests` are untagged artifacts that go.
    """

    name: str
    exclusive: int = 0
    shared: int = 0
    blobs: int = 0
    manifests: int = 0


@dataclass(slots=True)
class Preview:
    """The whole, and the shares, largest first; names are full ones.

    `unheld` bytes are in no share: blobs that no repository holds any more, and files that no row knows.
    """

    manifests: int = 0
    blobs: int = 0
    bytes: int = 0
    unheld: int = 0
    projects: list[Share] = field(default_factory=list)
    repositories: list[Share] = field(default_factory=list)
    artifacts: list[Share] = field(default_factory=list)


@dataclass(slots=True)
class _Doom:
    """What a run would remove of one repository's artifacts: each root with all that goes along."""

    groups: dict[int, set[int]] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    @property
    def artifacts(self) -> set[int]:
        return {pk for group in self.groups.values() for pk in group}


def compute(
    *, delete_untagged: bool, grace: timedelta, check_stop: Callable[[], None] = lambda: None, files: bool = True
) -> Preview:
    """Look everything through. `check_stop` may raise, to stop it; without `files`, the disk is not walked."""
    cutoff = timezone.now() - grace
    doomed = dict(_doomed_artifacts(cutoff, check_stop)) if delete_untagged else {}
    holders: dict[int, set[str]] = defaultdict(set)  # blob to the repositories that would let go of it
    needs: dict[str, dict[int, set[int]]] = {}  # repository to root to blobs
    for name in garbage.repositories(cutoff=cutoff):
        check_stop()
        if name in doomed:
            needs[name] = _let_go(name, doomed[name], cutoff, holders)
        else:
            for blob in garbage.unneeded_links(repository_name=name, cutoff=cutoff).values_list("blob_id", flat=True):
                holders[blob].add(name)
    freed = _freed(holders, cutoff)
    unheld = list(garbage.removable_blobs(cutoff=cutoff).values_list("size", flat=True))
    if files:
        unheld += _stray_sizes(grace, check_stop)
    return Preview(
        manifests=sum(len(each.artifacts) for each in doomed.values()),
        blobs=len(freed) + len(unheld),
        bytes=sum(freed.values()) + sum(unheld),
        unheld=sum(unheld),
        projects=_shares(freed, holders, doomed, lambda repository: repository.partition("/")[0]),
        repositories=_shares(freed, holders, doomed, lambda repository: repository),
        artifacts=_artifact_shares(freed, doomed, needs),
    )


def _doomed_artifacts(cutoff: datetime, check_stop: Callable[[], None]) -> Iterator[tuple[str, _Doom]]:
    """By repository; worked out as the run does it, one root after the other, in the order of their keys."""
    roots: dict[int, list[int]] = defaultdict(list)
    rows = deletes.untagged(pushed_before=cutoff).order_by("pk").values_list("pk", "repository_id")
    for pk, repository_id in rows:
        roots[repository_id].append(pk)
    for some in blobs.chunks(roots):
        for repository in Repository.objects.filter(pk__in=some):
            check_stop()
            doom = _doom(repository, roots[repository.pk], cutoff)
            if doom.groups:
                yield repository.name, doom


def _doom(repository: Repository, roots: Iterable[int], cutoff: datetime) -> _Doom:
    kin = Kinship.around(repository.pk, list(roots))
    rules = Rules(repository.project_id)
    doom = _Doom(digests=kin.digests)
    gone: set[int] = set()
    for root in roots:
        if root in gone or root not in kin.digests:
            continue
        group = kin.closure(root, gone=gone, pushed_before=cutoff)
        if any(rules.cover(repository.name, tag) for pk in group for tag in kin.tags.get(pk, ())):
            continue
        doom.groups[root] = group
        gone |= group
    return doom


def _let_go(name: str, doom: _Doom, cutoff: datetime, holders: dict[int, set[str]]) -> dict[int, set[int]]:
    """Note the links that fall once the artifacts have gone; returns which blobs each root needed."""
    root_of = {pk: root for root, group in doom.groups.items() for pk in group}
    links = BlobLink.objects.filter(repository_name=name, update_time__lt=cutoff)
    held: dict[str, int] = dict(links.values_list("blob__digest", "blob_id"))
    needed: set[str] = set()
    by_root: dict[int, set[int]] = defaultdict(set)
    references = ArtifactReference.objects.filter(artifact__repository__name=name).values_list("artifact_id", "digest")
    for artifact, digest in references.order_by().iterator():
        root = root_of.get(artifact)
        if root is None:
            needed.add(digest)
        elif digest in held:
            by_root[root].add(held[digest])
    for digest, blob in held.items():
        if digest not in needed:
            holders[blob].add(name)
    return by_root


def _freed(holders: Mapping[int, set[str]], cutoff: datetime) -> dict[int, int]:
    """Sizes of those blobs that everybody who holds them would let go of."""
    freed: dict[int, int] = {}
    for some in blobs.chunks(holders):
        links: dict[int, int] = dict(
            BlobLink.objects.filter(blob__in=some).order_by().values_list("blob_id").annotate(Count("pk"))
        )
        old = Blob.objects.filter(pk__in=some, update_time__lt=cutoff).values_list("pk", "size")
        freed.update((blob, size) for blob, size in old if links.get(blob, 0) == len(holders[blob]))
    return freed


def _stray_sizes(grace: timedelta, check_stop: Callable[[], None]) -> list[int]:
    """Of files that no row knows."""
    sizes: list[int] = []
    old = (found for found in store().blobs() if found.age > grace.total_seconds())
    for batch in blobs.chunks(old):
        check_stop()
        some = {str(found.digest): found.size for found in batch}
        known = set(Blob.objects.filter(digest__in=some).values_list("digest", flat=True))
        sizes += [size for digest, size in some.items() if digest not in known]
    return sizes


def _shares(
    freed: Mapping[int, int],
    holders: Mapping[int, set[str]],
    doomed: Mapping[str, _Doom],
    group_of: Callable[[str], str],
) -> list[Share]:
    exclusive: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    manifests: Counter[str] = Counter()
    for blob, size in freed.items():
        groups = {group_of(name) for name in holders[blob]}
        for group in groups:
            (exclusive if len(groups) == 1 else shared)[group] += size
            counts[group] += 1
    for name, doom in doomed.items():
        manifests[group_of(name)] += len(doom.artifacts)
    names = counts.keys() | manifests.keys()
    return _sorted(Share(name, exclusive[name], shared[name], counts[name], manifests[name]) for name in names)


def _artifact_shares(
    freed: Mapping[int, int], doomed: Mapping[str, _Doom], needs: Mapping[str, Mapping[int, set[int]]]
) -> list[Share]:
    by_root = {
        (name, root): needs.get(name, {}).get(root, set()) & freed.keys()
        for name, doom in doomed.items()
        for root in doom.groups
    }
    needed_by = Counter(blob for found in by_root.values() for blob in found)
    return _sorted(
        Share(
            name=f"{name}@{doomed[name].digests[root]}",
            exclusive=sum(freed[blob] for blob in found if needed_by[blob] == 1),
            shared=sum(freed[blob] for blob in found if needed_by[blob] > 1),
            blobs=len(found),
            manifests=len(doomed[name].groups[root]),
        )
        for (name, root), found in by_root.items()
    )


def _sorted(shares: Iterable[Share]) -> list[Share]:
    return sorted(shares, key=lambda share: (-share.exclusive - share.shared, share.name))
