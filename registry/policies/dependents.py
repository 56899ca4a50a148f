"""What would go with an artifact and what keeps it from going, of a whole repository at once.

As deleting it finds out (`registry.services.deletes`), which does it one artifact at a time and under locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from registry.models import Artifact, ArtifactChild, Repository, Tag


class Dependents:
    """The artifacts of a repository and what hangs on what, as it was when this was made; three queries."""

    def __init__(self, repository: Repository) -> None:
        self._digests: dict[int, str] = {}
        self._keys: dict[str, int] = {}
        self._accessories: dict[str, list[int]] = defaultdict(list)
        self._children: dict[int, list[str]] = defaultdict(list)
        self._indexes: dict[str, set[int]] = defaultdict(set)
        self._tags: dict[int, list[str]] = defaultdict(list)
        self._gone: set[int] = set()
        rows = Artifact.objects.filter(repository=repository).order_by("pk")
        for key, digest, subject in rows.values_list("pk", "digest", "subject_digest"):
            self._digests[key], self._keys[digest] = digest, key
            if subject:
                self._accessories[subject].append(key)
        for key, digest in ArtifactChild.objects.filter(artifact__repository=repository).values_list(
            "artifact_id", "digest"
        ):
            self._children[key].append(digest)
            self._indexes[digest].add(key)
        for key, name in Tag.objects.filter(repository=repository).order_by("name").values_list("artifact_id", "name"):
            self._tags[key].append(name)

    def is_listed(self, artifact: int) -> bool:
        """Whether an index that is still there lists it."""
        return bool(self._indexes[self._digests[artifact]] - self._gone)

    def immutable_tags(self, artifact: int, is_immutable: Callable[[str], bool]) -> tuple[str, ...]:
        """Those of the artifact and of what would go with it."""
        return tuple(name for key in self._doomed(artifact) for name in self._tags[key] if is_immutable(name))

    def let_go(self, artifact: int) -> None:
        """From now on as if it had been deleted."""
        self._gone |= set(self._doomed(artifact))

    def _doomed(self, first: int) -> list[int]:
        """It, its accessories and theirs, and children that have no tag and are not listed elsewhere."""
        doomed = {first: None}
        queue = [first]
        while queue:
            current = queue.pop()
            found = [key for key in self._accessories[self._digests[current]] if key not in self._gone]
            for digest in self._children[current]:
                key = self._keys.get(digest)
                if key is None or key in self._gone or self._tags[key]:
                    continue
                if not self._indexes[digest] - self._gone - doomed.keys():
                    found.append(key)
            new = [key for key in found if key not in doomed]
            doomed |= dict.fromkeys(new)
            queue += new
        return list(doomed)
