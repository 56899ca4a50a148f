"""Copying the artifacts of one repository: manifests in the order of their need, blobs once, what is there skipped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.utils.translation import gettext as _

from harborsite.jobs.runner import Job
from registry.oci import media_types
from registry.oci.digest import Digest
from registry.oci.manifest import Descriptor, Manifest, ManifestError, parse
from replication.adapters.base import RawManifest, Source, Target
from replication.crew import work_through
from replication.errors import UnfitContent
from replication.filters import Candidate
from replication.flow import Flow

THREADS = 4
_MOUNT_SOURCES = 3  # repositories of the target whose blobs are tried to be mounted; each needs a right of its own
_ASKED_FOR = 1024 * 1024  # bytes of a blob whose question costs nothing beside sending it
_MAX_DEPTH = 16  # indexes in indexes, signatures of signatures

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Node:
    """A manifest on its way. `level` is above that of whatever it needs."""

    manifest: RawManifest
    parsed: Manifest
    level: int
    tags: list[str] = field(default_factory=list)
    present: bool = False  # the target has it, though perhaps not under these tags


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact with those of its tags that the target lacks; `present` if another tag there shows that it is."""

    digest: Digest
    tags: tuple[str, ...]
    present: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about a manifest before it is taken in.

    One that the target has is not fetched where that takes a request; signatures may have come to it since.
    """

    present: bool
    manifest: RawManifest | None
    accessories: Sequence[Candidate]


class Transfer:
    """One repository's copy from `source` to `target`; either may be far away."""

    def __init__(
        self, *, source: Source, target: Target, src: str, dst: str, override: bool, flow: Flow, job: Job
    ) -> None:
        self.source, self.target = source, target
        self.src, self.dst = src, dst
        self.override, self.flow, self.job = override, flow, job
        self.nodes: dict[Digest, Node] = {}
        self._empty = True
        self._present: set[Digest] = set()
        self._looks: dict[Digest, Look] = {}
        self._left_alone: set[Digest] = set()
        remembered = job.attrs.get("uploads")
        self.uploads: MutableMapping[str, str] = dict(remembered) if isinstance(remembered, dict) else {}
        self._saved = dict(self.uploads)

    def run(self, artifacts: Sequence[Candidate], *, public: bool, mountable: Callable[[str], str | None]) -> None:
        """`mountable` says as what another repository of the source is known at the target, if it is copied, too."""
        self.target.writes = True
        self.flow.patiently(lambda: self.target.prepare(self.dst, public=public))
        self._empty = self.flow.patiently(lambda: self.target.is_empty(self.dst))
        wanted = [found for each in self._each(artifacts, self._compare) for found in each]
        for each in wanted:
            if each.present:
                self._present.add(each.digest)
        self._look_ahead([each.digest for each in wanted])
        for each in wanted:
            self._visit(each.digest, each.tags, depth=0)
        copied = [node for node in self.nodes.values() if not node.present]
        self._copy_blobs(_blobs_of(copied), mountable)
        self._push_manifests()
        self._watch()
        there = len(self.nodes) - len(copied) + len(self._left_alone)
        self.job.log(f"{len(copied)} manifest(s) copied, {there} were there")

    # --- what there is to do

    def _compare(self, found: Candidate) -> list[Wanted]:
        """Ask the target about each tag; a tag that points elsewhere is moved only by a policy that overrides."""
        if not found.tags:
            return [Wanted(Digest.parse(found.digest), ())]
        missing: dict[Digest, list[str]] = {}
        present: set[Digest] = set()
        for tag in found.tags:
            digest = self._source_digest(found.digest, tag)
            if digest is None:
                self.flow.say(f"{self.src}:{tag} is gone from the source")
                continue
            there = self._target_digest(tag)
            if there == digest:
                present.add(digest)
                missing.setdefault(digest, [])
            elif there is None or self.override:
                missing.setdefault(digest, []).append(tag)
            else:
                self.flow.say(f"{self.dst}:{tag} is another artifact, and the policy does not override: skipped")
        return [Wanted(digest, tuple(tags), digest in present) for digest, tags in missing.items()]

    def _target_digest(self, reference: str) -> Digest | None:
        if self._empty:
            return None
        return self.flow.patiently(lambda: self.target.digest_of(self.dst, reference))

    def _source_digest(self, digest: str, tag: str) -> Digest | None:
        if digest:
            return Digest.parse(digest)
        return self.flow.patiently(lambda: self.source.digest_of(self.src, tag))

    def _visit(self, digest: Digest, tags: Iterable[str], *, depth: int, above: int = 0) -> int:
        """Take in a manifest with all it consists of and all that refers to it; returns its level."""
        if (known := self.nodes.get(digest)) is not None:
            known.tags += [tag for tag in tags if tag not in known.tags]
            return known.level
        if depth > _MAX_DEPTH:
            raise UnfitContent(_("{name} is nested too deeply").format(name=f"{self.src}@{digest}"))
        self._watch()
        look = self._looks.pop(digest, None) or self._look(digest)
        if look.present and not tags and look.manifest is None:
            if digest not in self._left_alone:
                self._left_alone.add(digest)
                self._visit_accessories(look, above, depth)
            return above
        manifest = look.manifest or self._fetch(digest)
        if manifest is None:
            self.job.log(f"{self.src}@{digest} is not at the source: left out", "WARNING")
            return above
        node = Node(manifest, self._parsed(manifest), above, present=look.present)
        children = [c for c in node.parsed.children if c.media_type in media_types.SUPPORTED]
        self._look_ahead([child.digest for child in children])
        levels = [self._visit(child.digest, (), depth=depth + 1) for child in children]
        node.level = max([above, *(level + 1 for level in levels)])
        node.tags += tags
        self.nodes[digest] = node
        self._visit_accessories(look, node.level + 1, depth)
        return node.level

    def _look_ahead(self, digests: Sequence[Digest]) -> None:
        """Ask about several manifests at once, where asking takes time."""
        new = [digest for digest in digests if digest not in self.nodes and digest not in self._looks]
        if len(new) > 1 and not (self.source.looks_are_cheap and self._empty):
            self._looks.update(zip(new, self._each(new, self._look), strict=True))

    def _look(self, digest: Digest) -> Look:
        present = digest in self._present or self._target_digest(str(digest)) is not None
        manifest = None if present and not self.source.looks_are_cheap else self._fetch(digest)
        if manifest is None and not present:
            return Look(present, None, ())
        accessories = self.flow.patiently(lambda: self.source.accessories(self.src, digest))
        return Look(present, manifest, accessories)

    def _fetch(self, digest: Digest) -> RawManifest | None:
        return self.flow.patiently(lambda: self.source.manifest(self.src, str(digest)))

    def _parsed(self, found: RawManifest) -> Manifest:
        try:
            return parse(found.raw, found.media_type)
        except ManifestError as error:
            message = _("the manifest {name} is not valid: {reason}")
            raise UnfitContent(message.format(name=f"{self.src}@{found.digest}", reason=error)) from None

    def _visit_accessories(self, look: Look, above: int, depth: int) -> None:
        for accessory in look.accessories:
            for wanted in self._compare(accessory):
                self._visit(wanted.digest, wanted.tags, depth=depth + 1, above=above)

    # --- doing it

    def _copy_blobs(self, blobs: Sequence[Descriptor], mountable: Callable[[str], str | None]) -> None:
        self.flow.total = sum(blob.size for blob in blobs)
        self.target.mount_from(self._mount_sources(blobs, mountable))
        self._each(blobs, self._copy_blob)

    def _mount_sources(self, blobs: Sequence[Descriptor], mountable: Callable[[str], str | None]) -> dict[str, str]:
        """For each blob a repository of the target that probably holds it: of few, those that hold the most."""
        holders = self.source.other_holders(self.src, [str(blob.digest) for blob in blobs])
        known = {name: mountable(name) for names in holders.values() for name in names}
        weights = Counter(name for names in holders.values() for name in names if known[name])
        best = [name for name, _count in weights.most_common(_MOUNT_SOURCES)]
        chosen: dict[str, str] = {}
        for digest, names in holders.items():
            source = next((known[name] for name in best if name in names), None)
            if source is not None and source != self.dst:
                chosen[digest] = source
        return chosen

    def _copy_blob(self, blob: Descriptor) -> None:
        def step() -> int:
            asks = not self._empty or blob.size >= _ASKED_FOR  # an earlier try may have come as far as blobs
            if asks and self.target.has_blob(self.dst, blob.digest):
                return 0
            content = self.flow.metered(self.source.blob(self.src, blob.digest), blob.size)
            return self.target.push_blob(self.dst, blob, content, self.uploads)

        self.flow.patiently(step)
        self.flow.count(blob.size)

    def _push_manifests(self) -> None:
        """Level by level, so that each finds what it needs."""
        for level in sorted({node.level for node in self.nodes.values()}):
            due = [node for node in self.nodes.values() if node.level == level and (node.tags or not node.present)]
            self._each(due, self._push_manifest)
            for node in due:
                if node.parsed.subject is not None and not node.present:
                    self._list_accessory(node, node.parsed.subject.digest)

    def _push_manifest(self, node: Node) -> None:
        self.flow.patiently(lambda: self.target.push_manifest(self.dst, node.manifest, node.tags))

    def _list_accessory(self, node: Node, subject: Digest) -> None:
        descriptor: dict[str, object] = {
            "mediaType": node.manifest.media_type,
            "digest": str(node.manifest.digest),
            "size": len(node.manifest.raw),
        }
        if node.parsed.artifact_type:
            descriptor["artifactType"] = node.parsed.artifact_type
        if node.parsed.annotations:
            descriptor["annotations"] = json.loads(json.dumps(dict(node.parsed.annotations)))
        self.flow.patiently(lambda: self.target.list_accessory(self.dst, subject, descriptor))

    def _each(self, items: Sequence[T], function: Callable[[T], R]) -> list[R]:
        return work_through(items, function, threads=THREADS, watch=self._watch, halt=self.flow.halt)

    def _watch(self) -> None:
        """Show how far it is, keep what can be resumed, and see whether to go on; in the job's own thread."""
        for line in self.flow.said():
            self.job.log(line)
        self.job.progress(self.flow.done, self.flow.total, "bytes")
        self._save()
        self.job.check_stop()

    def _save(self) -> None:
        current = dict(self.uploads)
        if current != self._saved:
            self.job.remember(uploads=current)
            self._saved = current


def _blobs_of(nodes: Iterable[Node]) -> list[Descriptor]:
    """Everything that the manifests need beside manifests, each once, the largest first."""
    found: dict[Digest, Descriptor] = {}
    for node in nodes:
        listed = [child for child in node.parsed.children if child.media_type not in media_types.SUPPORTED]
        for blob in (*node.parsed.blobs, *listed):
            found.setdefault(blob.digest, blob)
    return sorted(found.values(), key=lambda blob: -blob.size)
