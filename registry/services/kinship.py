"""What goes when an artifact goes, for many at once and in memory; `deletes.with_dependents` does one for real."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Set
from datetime import datetime
from itertools import zip_longest

from django.db.models import Q, QuerySet

from registry.models import Artifact, ArtifactChild
from registry.oci.media_types import INDEXES
from registry.services import blobs


class Kinship:
    """Artifacts of one repository: who refers to whom, who lists whom, who has a tag."""

    def __init__(self, repository_id: int) -> None:
        self._repository = repository_id
        self.digests: dict[int, str] = {}
        self.tags: dict[int, list[str]] = defaultdict(list)
        self.pushed: dict[int, datetime] = {}
        self._by_digest: dict[str, int] = {}
        self._indexes: set[int] = set()
        self._accessories: dict[str, set[int]] = defaultdict(set)
        self._children: dict[int, set[str]] = defaultdict(set)
        self._listers: dict[str, set[int]] = defaultdict(set)

    @classmethod
    def around(cls, repository_id: int, keys: Collection[int]) -> Kinship:
        """Of these artifacts and what might go with them; at most two queries for each step away from them."""
        kin = cls(repository_id)
        fresh: Set[int] = set()
        for some in blobs.chunks(keys):
            fresh |= kin._add(Q(pk__in=some))
        while fresh:
            digests = [kin.digests[pk] for pk in fresh]
            named: set[str] = set()
            for some in blobs.chunks(fresh & kin._indexes):
                named |= kin._add_children(some)
            fresh = set()
            for subjects, children in zip_longest(blobs.chunks(digests), blobs.chunks(named), fillvalue=()):
                asked = [Q(subject_digest__in=subjects)] if subjects else []
                fresh |= kin._add(*asked, *([Q(digest__in=children)] if children else []))
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

    def _add(self, *which: Q) -> Set[int]:
        """Read those artifacts, and return the keys of those that are new."""
        first, *others = (self._rows(each) for each in which)
        fresh = set()
        for pk, digest, subject, pushed, media_type, tag in first.union(*others) if others else first:
            if pk in self.digests and pk not in fresh:
                continue
            fresh.add(pk)
            self.digests[pk], self.pushed[pk], self._by_digest[digest] = digest, pushed, pk
            if subject:
                self._accessories[subject].add(pk)
            if media_type in INDEXES:
                self._indexes.add(pk)
            if tag:
                self.tags[pk].append(tag)
        return fresh

    def _rows(self, which: Q) -> QuerySet[Artifact, tuple[int, str, str, datetime, str, str | None]]:
        """One for each tag, and one for what has none."""
        rows = Artifact.objects.filter(which, repository=self._repository).order_by()
        return rows.values_list("pk", "digest", "subject_digest", "push_time", "manifest_media_type", "tags__name")

    def _add_children(self, keys: Collection[int]) -> set[str]:
        """What these list, and who else lists that; returns its digests."""
        listed = ArtifactChild.objects.filter(artifact__in=keys).values("digest")
        rows = ArtifactChild.objects.filter(digest__in=listed, artifact__repository=self._repository).order_by()
        named = set()
        for artifact, digest in rows.values_list("artifact_id", "digest"):
            self._children[artifact].add(digest)
            self._listers[digest].add(artifact)
            named.add(digest)
        return named
