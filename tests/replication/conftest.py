"""Servers to replicate with, and the jobs run here and now instead of in a worker."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from harborsite.jobs import runner
from harborsite.jobs.models import Execution
from harborsite.sealing import seal
from projects.models import Project, User
from registry.models import Artifact, BlobUpload, Repository
from registry.oci.digest import Digest
from registry.services import manifests, uploads
from replication import flow
from replication.models import Registry, ReplicationPolicy
from replication.services import policies
from tests.images import Manifest
from tests.replication.standin import StandIn, standin
from tests.services import docker_registry
from tests.test_outbound import LOOPBACK, allow


@pytest.fixture(scope="session")
def distribution() -> Iterator[str]:
    with docker_registry() as host:
        yield host


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback may be called, and nobody waits long before a second try."""
    allow(monkeypatch, *LOOPBACK)
    monkeypatch.setattr(flow, "FIRST_PAUSE", 0.01)


@pytest.fixture
def far() -> Iterator[StandIn]:
    with standin() as registry:
        yield registry


def registered(far: StandIn, **changes: Any) -> Registry:
    user, secret = far.account
    fields = {"name": "far", "type": "docker-registry", "url": far.url, **changes}
    return Registry.objects.create(**fields, access_key=user, access_secret=seal(secret))


def push_here(project: Project, repository: str, tags: tuple[str, ...], image: Manifest) -> None:
    """What a client's push does, through the services."""
    for manifest in image.walk():
        for blob in manifest.blobs:
            digest = Digest.parse(blob.digest)
            uploads.put(
                project=project,
                repository_name=repository,
                digest=digest,
                stream=io.BytesIO(blob.data),
                announced=len(blob.data),
            )
        manifests.push(
            project=project,
            repository_name=repository,
            reference=Digest.parse(manifest.digest),
            raw=manifest.data,
            content_type=manifest.media_type,
            actor="tester",
            tags=tags if manifest is image else (),
        )


def policy(admin: User, registry: Registry, names: str, *, pull: bool = False, **changes: Any) -> ReplicationPolicy:
    """A policy for the repositories that `names` means."""
    side = {"src_registry" if pull else "dest_registry": registry.pk}
    filters = [{"type": "name", "value": names}]
    fields = {"name": "rule", "enabled": True, "override": True, "filters": filters, **side, **changes}
    return policies.create_policy(description=policies.Description(**fields), actor=admin)


def carry_out(execution: Execution) -> Execution:
    """All that a worker would do about it, in the order of the tasks."""
    runner.launch(execution.pk)
    for task in execution.tasks.order_by("pk"):
        runner.run(task.pk)
    execution.refresh_from_db()
    return execution


def carry_out_to_the_end(execution: Execution) -> Execution:
    """The same, with all further tries that the engine makes, without the pauses between them."""
    execution = carry_out(execution)
    while not execution.is_final:
        execution.tasks.update(not_before=None)
        execution = carry_out(execution)
    return execution


def log_of(execution: Execution) -> str:
    return "".join(part.text for task in execution.tasks.order_by("pk") for part in task.log_parts.all())


def nothing_is_stored() -> bool:
    """What might have been resumed is cleaned up at night."""
    uploads.clean_up(older_than=timedelta())
    return not (Repository.objects.exists() or Artifact.objects.exists() or BlobUpload.objects.exists())
