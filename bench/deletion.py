"""`python -m bench.deletion`: delete a large repository that two webhooks watch, while somebody else writes."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta
from typing import Any

from bench.gc import digest
from bench.purge import Locks, in_an_installation, spread, with_writer

_LAYERS = 3  # of each artifact alone, beside the one that all have
_BATCH = 5000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.deletion", description=__doc__)
    parser.add_argument("--artifacts", type=int, default=20_000)
    parser.add_argument("--webhooks", type=int, default=2)
    parser.add_argument("--database", choices=["sqlite", "mariadb"], default="sqlite")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return measure(options.artifacts, options.webhooks)
    arguments = (f"--artifacts={options.artifacts}", f"--webhooks={options.webhooks}", "--inside")
    return in_an_installation("bench.deletion", options.database, *arguments)


def measure(artifacts: int, webhooks: int) -> int:
    import django

    django.setup()
    from django.db import connections

    from harborsite.jobs.models import Execution, Task
    from registry.models import Artifact, Repository
    from registry.services import deletes

    repository = fill(artifacts, webhooks)
    connections.close_all()
    repository = Repository.objects.get(pk=repository.pk)
    locks, took = Locks(), [0.0]

    def delete() -> None:
        began = time.monotonic()
        deletes.delete_repository(repository=repository, actor="admin")
        took[0] = time.monotonic() - began

    busy = with_writer(delete)
    print(f"{artifacts:,} artifacts deleted in {took[0]:.1f} s, so long does the request take")
    locks.report()
    print(f"meanwhile, another's write: {spread(busy)}")
    print(f"left behind: {Execution.objects.count():,} executions, {Task.objects.count():,} tasks")
    return 0 if not Artifact.objects.exists() else 1


def fill(artifacts: int, webhooks: int) -> Any:
    from django.utils import timezone

    from projects.models import Project, Quota, User, WebhookPolicy
    from registry.models import Artifact, ArtifactReference, Blob, BlobLink, Repository, Tag

    began = time.monotonic()
    owner = User.objects.get(username="admin")
    project = Project.objects.create(name="bench", owner=owner)
    Quota.objects.create(project=project)
    repository = Repository.objects.create(project=project, name="bench/app")
    past = timezone.now() - timedelta(days=1)
    for number in range(webhooks):
        target = {"type": "http", "address": f"http://127.0.0.1:9/{number}", "auth_header": "", "payload_format": ""}
        WebhookPolicy.objects.create(
            project=project, name=f"hook-{number}", event_types=["DELETE_ARTIFACT"], targets=[target], enabled=True
        )
    shared = Blob.objects.create(digest=digest("shared"), size=512)
    blobs = Blob.objects.bulk_create(
        (Blob(digest=digest(f"blob {number}"), size=512) for number in range(artifacts * _LAYERS)), batch_size=_BATCH
    )
    made = Artifact.objects.bulk_create(
        (
            Artifact(
                repository=repository,
                digest=digest(f"image {number}"),
                manifest=b"{}",
                manifest_media_type="application/vnd.oci.image.manifest.v1+json",
                type="IMAGE",
                push_time=past,
            )
            for number in range(artifacts)
        ),
        batch_size=_BATCH,
    )
    Tag.objects.bulk_create(
        (
            Tag(repository=repository, artifact=artifact, name=f"v{number}", push_time=past)
            for number, artifact in enumerate(made)
        ),
        batch_size=_BATCH,
    )
    ArtifactReference.objects.bulk_create(
        (
            ArtifactReference(artifact=artifact, digest=each)
            for number, artifact in enumerate(made)
            for each in (shared.digest, *(blob.digest for blob in blobs[number * _LAYERS : (number + 1) * _LAYERS]))
        ),
        batch_size=_BATCH,
    )
    BlobLink.objects.bulk_create(
        (BlobLink(project=project, repository_name=repository.name, blob=blob) for blob in (shared, *blobs)),
        batch_size=_BATCH,
    )
    Quota.objects.filter(project=project).update(used=512 * (len(blobs) + 1) + 2 * artifacts)
    print(f"{artifacts:,} artifacts made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return repository


if __name__ == "__main__":
    sys.exit(main())
