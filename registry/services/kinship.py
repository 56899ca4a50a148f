"""What goes when an artifact goes, for many at once and in memory; `deletes.with_dependents` does one for real."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Set
from datetime import datetime

from django.db.models import Q, QuerySet

from registry.models import Artifact, ArtifactChild, Tag
from registry.services import blobs


class Kinship:
    """Artifacts of one repository: who refers to whom, who lists whom, who has a tag."""

    def __init__(self, repository_id: int) -> None:
        self._repository = repository_id
        self.digests: dict[int, str] = {}
        self.tags: dict[int, list[str]] = defaultdict(list)
        self.pushed: dict[int, datetime] = {}
        self._by_digest: dict[str, int] = {}
        self._accessories: dict[str, set[int]] = defaultdict(set)
        self._children: dict[int, set[str]] = defaultdict(set)
        self._listers: dict[str, set[int]] = defaultdict(set)

    @classmethod
    def whole(cls, repository_id: int) -> Kinship:
        """Of everything in the repository."""
        kin = cls(repository_id)
        kin._add(Q())
        kin._add_children(Q())
        return kin

    @classmethod
    def around(cls, repository_id: int, keys: Collection[int]) -> Kinship:
        """Of these artifacts and what might go with them; a few queries for each step away from them."""
        kin = cls(repository_id)
        fresh: Set[int] = set()
        for some in blobs.chunks(keys):
            fresh |= kin._add(Q(pk__in=some))
        while fresh:
            digests = [kin.digests[pk] for pk in fresh]
            named: set[str] = set()
            for keys_ in blobs.chunks(fresh):
                named |= kin._add_children(Q(artifact__in=keys_))
            for some_names in blobs.chunks(named):
                kin._add_children(Q(digest__in=some_names))
            fresh = set()
            for some_digests in blobs.chunks(digests):
                fresh |= kin._add(Q(subject_digest__in=some_digests))
            for some_names in blobs.chunks(named):
                fresh |= kin._add(Q(digest__in=some_names))
        return kin

    def closure(self, root: int, *, gone: Set[int] = frozenset(), pushed_before: datetime | None = None) -> set[int]:
        """`root`, its accessories and theirs, and parts that are untagged and listed by nothing that stays.

        `gone` are those that went before; parts that were not pushed before `pushed_before` stay.
        """
        found, queue = {root}, [root]
        while queue:
            current = queue.pop()
            dependents = set(self._accessories.get(self.digests[current], ()))
            for digest in self._children.get(current, ()):
                child = self._by_digest.get(digest)
                if child is not None and self._may_go(child, found | gone, pushed_before):
                    dependents.add(child)
            new = dependents - found - gone
            found |= new
            queue += new
        return found

    def _may_go(self, child: int, going: Set[int], pushed_before: datetime | None) -> bool:
        if self.tags.get(child) or (pushed_before and self.pushed[child] >= pushed_before):
            return False
        return self._listers[self.digests[child]] <= going

    def _add(self, which: Q) -> Set[int]:
        """Read those artifacts, and return the keys of those that are new."""
        rows = Artifact.objects.filter(which, repository=self._repository).order_by()
        fresh = set()
        for pk, digest, subject, pushed in rows.values_list("pk", "digest", "subject_digest", "push_time"):
            if pk in self.digests:
                continue
            fresh.add(pk)
            self.digests[pk], self.pushed[pk], self._by_digest[digest] = digest, pushed, pk
            if subject:
                self._accessories[subject].add(pk)
        for artifact, name in self._tags_of(fresh, everything=not which).values_list("artifact_id", "name"):
            self.tags[artifact].append(name)
        return fresh

    def _tags_of(self, keys: Collection[int], *, everything: bool) -> QuerySet[Tag]:
        rows = Tag.objects.filter(repository=self._repository).order_by()
        return rows if everything else rows.filter(artifact__in=keys)

    def _add_children(self, which: Q) -> set[str]:
        rows = ArtifactChild.objects.filter(which, artifact__repository=self._repository).order_by()
        named = set()
        for artifact, digest in rows.values_list("artifact_id", "digest"):
            self._children[artifact].add(digest)
            self._listers[digest].add(artifact)
            named.add(digest)
        return named
