"""Content to try things out on: projects, people and images by the hundred thousand, made in minutes.

Rows are written in bulk past the services, a project in a transaction; every manifest is a real one that can be pulled
with its blobs, which are small and shared as in real life. Whoever is made here cannot sign in unless a password is
given, and robot accounts have no secret at all.
"""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Max, Model, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.events import Operation, ResourceType
from audit.models import AuditLog
from harborsite.setup import SetupError
from projects import names
from projects.models import Label, Member, Project, ProjectMetadata, Quota, Robot, User
from projects.models.user import ADMIN_ID
from projects.permissions import Role
from registry.models import (
    Artifact,
    ArtifactChild,
    ArtifactLabel,
    ArtifactReference,
    Blob,
    BlobLink,
    Repository,
    Tag,
)
from registry.oci import attributes, manifest, media_types
from registry.oci.digest import Digest
from registry.storage import store

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_BATCH: Final = 2_000  # rows of one statement
_AUDIT_BATCH: Final = 20_000  # rows of one transaction
_ALIKE: Final = 10  # images of a project that differ in their layers; the others differ in their annotations
_MEMBERS: Final = 10
_DAYS: Final = 90  # what is recorded happened within them
_COLORS: Final = ("#0065AB", "#3C8500", "#C92100", "#9B32C8")
_WORDS: Final = ("api", "web", "worker", "cache", "proxy", "search", "mail", "report", "auth", "billing")
_PULL: Final = {"resource": "repository", "action": "pull"}


@dataclass(frozen=True, slots=True)
class Size:
    """How many projects, repositories in each, artifacts in each of those, and rows of the audit log in all."""

    projects: int
    repositories: int
    artifacts: int
    audit_rows: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """`small`, `medium`, `large` or three numbers as in `40x20x5`. Raises SetupError."""
        found = re.fullmatch(r"(\d{1,5})x(\d{1,6})x(\d{1,6})", _NAMED.get(text, text))
        if found is None or not all(int(number) for number in found.groups()):
            raise SetupError(_("--size: {text} is neither small, medium, large nor like 40x20x5").format(text=text))
        projects, repositories, artifacts = map(int, found.groups())
        return cls(projects, repositories, artifacts, 5 * projects * repositories * artifacts)


_NAMED: Final = {"small": "5x4x5", "medium": "40x20x5", "large": "200x100x10"}


def check_empty(*, add: bool, prefix: str) -> None:
    """Raise SetupError where there is content already and nobody said that more may be added to it."""
    if not names.is_project_name(prefix):
        raise SetupError(_("--prefix: {text} cannot begin the name of a project").format(text=prefix))
    if Project.objects.filter(name__startswith=f"{prefix}-").exists():
        raise SetupError(
            _("there are projects whose names begin with {prefix}-; choose another --prefix").format(prefix=prefix)
        )
    if not add and Repository.objects.exists():
        raise SetupError(_("the registry holds repositories already; --add puts the demo content beside them"))


def seed(*, size: Size, prefix: str, password: str | None, report: Callable[[str], object]) -> None:
    """Make everything; `report` is told what is done, line by line."""
    crowd = _Crowd(prefix, size, password)
    report(_("{count} users").format(count=len(crowd.users)))
    shared = _shared_layers(crowd.random)
    marks = _labels(None, crowd.random)
    for number in range(size.projects):
        _ProjectSeed(crowd, number, shared, marks).write()
        done = number + 1
        if done % 10 == 0 or done == size.projects:
            report(_("{done} of {total} projects").format(done=done, total=size.projects))
    for written in _audit_rows(crowd):
        report(_("{done} of {total} audit log rows").format(done=written, total=size.audit_rows))


def _add(rows: Sequence[Model]) -> None:
    if rows:
        type(rows[0])._default_manager.bulk_create(rows, batch_size=_BATCH)


def _next_key(model: type[Model]) -> int:
    """Keys are given out here, because not every database tells the keys of many rows at once."""
    return (model._default_manager.aggregate(last=Max("pk"))["last"] or 0) + 1


class _Crowd:
    """What all projects share: the people, the dice and the clock."""

    def __init__(self, prefix: str, size: Size, password: str | None) -> None:
        self.prefix, self.size = prefix, size
        self.random = random.Random(prefix)  # the same content each time
        self.now = timezone.now()
        self.repositories: list[tuple[int, str]] = []  # project and name, of all that was made
        first, encoded = _next_key(User), make_password(password)
        self.users = [
            User(
                pk=first + number,
                username=f"{prefix}-user-{number + 1:04d}",
                email=f"{prefix}-user-{number + 1:04d}@example.com",
                realname=f"{_WORDS[number % len(_WORDS)].title()} {number + 1}",
                password=encoded,
            )
            for number in range(max(2 * _MEMBERS, 5 * size.projects))
        ]
        with transaction.atomic():
            _add(self.users)

    def moment(self) -> datetime:
        return self.now - timedelta(seconds=self.random.randrange(_DAYS * 24 * 3600))


@dataclass(frozen=True, slots=True)
class _Stored:
    """A blob that is in the store and in the database."""

    pk: int
    digest: Digest
    size: int

    def descriptor(self, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": str(self.digest), "size": self.size}


def _store(contents: Sequence[bytes]) -> list[_Stored]:
    """Bytes first, rows second; what an earlier run left behind is taken as it is."""
    digests = [Digest.of(content) for content in contents]
    for content, digest in zip(contents, digests, strict=True):
        store().put(io.BytesIO(content), digest)
    Blob.objects.bulk_create(
        [Blob(digest=str(digest), size=len(content)) for content, digest in zip(contents, digests, strict=True)],
        ignore_conflicts=True,
    )
    keys = dict(Blob.objects.filter(digest__in=map(str, digests)).values_list("digest", "pk"))
    return [_Stored(keys[str(digest)], digest, len(content)) for content, digest in zip(contents, digests, strict=True)]


def _layer(dice: random.Random) -> bytes:
    """A layer that holds one file."""
    content, file = dice.randbytes(dice.randrange(2_000, 60_000)), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(f"opt/{dice.choice(_WORDS)}/{dice.getrandbits(32):08x}")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _shared_layers(dice: random.Random) -> list[_Stored]:
    """What images of all projects are built upon."""
    with transaction.atomic():
        return _store([_layer(dice) for _ in range(3)])


def _labels(project: Project | None, dice: random.Random) -> list[Label]:
    space, scope = (project.pk, Label.Scope.PROJECT) if project else (0, Label.Scope.GLOBAL)
    wanted = ("stable", "deprecated") if project is None else ("tested", "released", "broken")
    held = {label.name: label for label in Label.objects.filter(space=space, name__in=wanted)}
    first = _next_key(Label)
    new = [
        Label(pk=first + number, name=name, color=dice.choice(_COLORS), scope=scope, project=project, space=space)
        for number, name in enumerate(wanted)
        if name not in held
    ]
    _add(new)
    return [*held.values(), *new]


@dataclass(frozen=True, slots=True)
class _Variant:
    """One set of layers with the configuration that names them."""

    config: _Stored
    layers: tuple[_Stored, ...]
    document: bytes

    @property
    def blobs(self) -> tuple[_Stored, ...]:
        return (self.config, *self.layers)


class _ProjectSeed:
    """One project, from its members to its labelled artifacts."""

    def __init__(self, crowd: _Crowd, number: int, shared: Sequence[_Stored], marks: Sequence[Label]) -> None:
        self._crowd, self._number, self._shared, self._marks = crowd, number, shared, list(marks)
        self._dice, self._size = crowd.random, crowd.size
        self._rows: dict[type[Model], list[Any]] = {
            kind: [] for kind in (Artifact, ArtifactReference, ArtifactChild, Tag, ArtifactLabel, BlobLink)
        }
        self._linked: set[int] = set()
        self._used = 0

    def write(self) -> None:
        with transaction.atomic():
            self._make_project()
            self._marks += _labels(self._project, self._dice)
            self._variants  # noqa: B018 - their bytes are stored before anything names them
            first, self._next_artifact = _next_key(Repository), _next_key(Artifact)
            repositories = [self._repository(first + index, index) for index in range(self._size.repositories)]
            _add(repositories)
            for index, repository in enumerate(repositories):
                self._fill(repository, index)
            for rows in self._rows.values():
                _add(rows)
            Quota.objects.create(project=self._project, used=self._used + self._blob_bytes())
        self._crowd.repositories += [(repository.project_id, repository.name) for repository in repositories]

    def _make_project(self) -> None:
        users = self._crowd.users
        people = [users[(self._number * 5 + offset) % len(users)] for offset in range(_MEMBERS)]
        name = f"{self._crowd.prefix}-{self._number + 1:03d}"
        self._project = Project.objects.create(name=name, owner=people[0], public=self._number % 3 == 0)
        roles = [Role.PROJECT_ADMIN, Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST]
        _add(
            [
                Member(project=self._project, user=person, role=roles[place % len(roles)])
                for place, person in enumerate(people)
            ]
        )
        _add([ProjectMetadata(project=self._project, name="auto_scan", value="false")])
        _add(
            [
                Robot(
                    name=f"{name}+{kind}",
                    level=Robot.Level.PROJECT,
                    project=self._project,
                    secret=make_password(None),
                    permissions=[{"kind": "project", "namespace": name, "access": [_PULL]}],
                    creator_ref=ADMIN_ID,
                )
                for kind in ("ci", "deploy")
            ]
        )

    @cached_property
    def _variants(self) -> list[_Variant]:
        count = min(_ALIKE, self._size.repositories)
        own = _store([_layer(self._dice) for _ in range(count)])
        chosen = [
            (self._shared[place % len(self._shared)], own[place], own[(7 * place + 3) % count])
            for place in range(count)
        ]
        layers = [tuple(dict.fromkeys(some)) for some in chosen]
        documents = [_config(some, number) for number, some in enumerate(layers)]
        configs = _store(documents)
        return [_Variant(*parts) for parts in zip(configs, layers, documents, strict=True)]

    def _repository(self, pk: int, index: int) -> Repository:
        word = _WORDS[index % len(_WORDS)]
        name = f"{word}-{index + 1:03d}" if index % 4 else f"team/{word}-{index + 1:03d}"
        return Repository(
            pk=pk,
            project=self._project,
            name=f"{self._project.name}/{name}",
            pull_count=self._dice.randrange(10_000),
            description="" if index % 5 else f"# {word}\n\nThe **{word}** service.",
        )

    def _fill(self, repository: Repository, index: int) -> None:
        held: set[_Stored] = set()
        images: list[Artifact] = []
        times = sorted(self._crowd.moment() for _ in range(self._size.artifacts))
        for place, pushed in enumerate(times):
            variant = self._variants[(index + place % 3) % len(self._variants)]
            if place % 10 == 9:
                artifact = self._index(repository, images[-2:], pushed)
            else:
                artifact = self._image(repository, variant, place, pushed)
                images.append(artifact)
                held.update(variant.blobs)
            newest = place + 1 == self._size.artifacts
            self._mark(artifact, [f"v1.{place}.0", *(["latest"] if newest else [])])
        self._rows[BlobLink] += [
            BlobLink(project=self._project, repository_name=repository.name, blob_id=blob.pk)
            for blob in sorted(held, key=lambda blob: blob.pk)
        ]
        self._linked |= {blob.pk for blob in held}

    def _image(self, repository: Repository, variant: _Variant, place: int, pushed: datetime) -> Artifact:
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": variant.config.descriptor(CONFIG_TYPE),
            "layers": [layer.descriptor(LAYER_TYPE) for layer in variant.layers],
            "annotations": {
                "org.opencontainers.image.title": repository.name,
                "org.opencontainers.image.version": f"1.{place}.0",
            },
        }
        raw = json.dumps(document, indent=3).encode()
        parsed = manifest.parse(raw, media_types.OCI_MANIFEST)
        attrs = attributes.extra_attrs(parsed, variant.document)
        artifact = self._artifact(repository, raw, parsed, pushed, parsed.size, attrs)
        self._rows[ArtifactReference] += [
            ArtifactReference(artifact=artifact, digest=str(blob.digest)) for blob in variant.blobs
        ]
        return artifact

    def _index(self, repository: Repository, images: Sequence[Artifact], pushed: datetime) -> Artifact:
        platforms = [{"architecture": name, "os": "linux"} for name in ("amd64", "arm64")]
        children = [
            {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": image.digest,
                "size": len(image.manifest),
                "platform": platform,
            }
            for image, platform in zip(images, platforms, strict=True)
        ]
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": children}
        raw = json.dumps(document, indent=3).encode()
        parsed = manifest.parse(raw, media_types.OCI_INDEX)
        size = parsed.size + sum(image.size for image in images)
        artifact = self._artifact(repository, raw, parsed, pushed, size, {})
        self._rows[ArtifactChild] += [
            ArtifactChild(artifact=artifact, position=position, digest=image.digest, platform=platform)
            for position, (image, platform) in enumerate(zip(images, platforms, strict=True))
        ]
        return artifact

    def _artifact(
        self,
        repository: Repository,
        raw: bytes,
        parsed: manifest.Manifest,
        pushed: datetime,
        size: int,
        extra_attrs: dict[str, Any],
    ) -> Artifact:
        self._used += len(raw)
        artifact = Artifact(
            pk=self._next_artifact,
            repository=repository,
            digest=str(Digest.of(raw)),
            manifest=raw,
            manifest_media_type=parsed.manifest_media_type,
            media_type=parsed.media_type,
            artifact_type=parsed.artifact_type,
            type=parsed.type,
            size=size,
            extra_attrs=extra_attrs,
            annotations=dict(parsed.annotations),
            push_time=pushed,
            pull_time=self._crowd.now if self._dice.random() < 0.5 else None,
        )
        self._next_artifact += 1
        self._rows[Artifact].append(artifact)
        return artifact

    def _mark(self, artifact: Artifact, tags: Sequence[str]) -> None:
        self._rows[Tag] += [
            Tag(repository=artifact.repository, artifact=artifact, name=name, push_time=artifact.push_time)
            for name in tags
        ]
        if self._dice.random() < 0.5:
            chosen = self._dice.sample(self._marks, k=self._dice.randint(1, 2))
            self._rows[ArtifactLabel] += [ArtifactLabel(artifact=artifact, label=label) for label in chosen]

    def _blob_bytes(self) -> int:
        total: int = Blob.objects.filter(pk__in=self._linked).aggregate(total=Sum("size"))["total"] or 0
        return total


def _config(layers: Sequence[_Stored], number: int) -> bytes:
    """A configuration that a container can be made of; layers are not compressed, so their digests are the diff ids."""
    document = {
        "architecture": "arm64" if number % 4 == 3 else "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "author": "Harborsite demo",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/true"], "Labels": {"variant": str(number)}},
        "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        "history": [{"created_by": f"COPY opt/{place} /opt"} for place, _layer in enumerate(layers)],
    }
    return json.dumps(document).encode()


def _audit_rows(crowd: _Crowd) -> Iterator[int]:
    """What has happened, oldest first; yields how many rows are written."""
    total, dice = crowd.size.audit_rows, crowd.random
    start, step = crowd.now - timedelta(days=_DAYS), timedelta(days=_DAYS) / max(1, total)
    for first in range(0, total, _AUDIT_BATCH):
        numbers = range(first, min(total, first + _AUDIT_BATCH))
        with transaction.atomic():
            _add([_audit_row(crowd, dice, start + number * step) for number in numbers])
        yield numbers.stop


def _audit_row(crowd: _Crowd, dice: random.Random, when: datetime) -> AuditLog:
    user = dice.choice(crowd.users)
    kind = dice.random()
    if kind < 0.05:
        operation = Operation.LOGIN if kind < 0.03 else Operation.LOGOUT
        return AuditLog(
            username=user.username,
            operation=operation,
            resource_type=ResourceType.USER,
            resource=user.username,
            successful=kind > 0.002,
            op_time=when,
        )
    project_id, name = dice.choice(crowd.repositories)
    operation = Operation.PULL if kind < 0.8 else Operation.CREATE if kind < 0.95 else Operation.DELETE
    return AuditLog(
        username=user.username,
        operation=operation,
        resource_type=ResourceType.ARTIFACT,
        resource=f"{name}:v1.{dice.randrange(crowd.size.artifacts)}.0",
        project_id=project_id,
        data={"digest": f"sha256:{dice.getrandbits(256):064x}"},
        op_time=when,
    )
