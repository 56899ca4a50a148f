"""`python -m bench.gc`: how long garbage collection takes, on the filesystem and the default database.

It fills an installation of its own in a temporary directory, images with layers of their own and one layer that all
share, takes a tenth of the images away, and measures the preview, the run, and a run that finds nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

MUST_SECONDS = 60.0  # for 10,000 among 100,000
_LAYERS = 4  # of each image, beside the one that all have
_REPOSITORIES = 200
_SIZE = 512


@contextmanager
def installation() -> Iterator[Path]:
    """Django set up over a fresh database; yields where the blobs are."""
    with tempfile.TemporaryDirectory(prefix="harborsite-gc-") as home:
        file = Path(home) / "harbor.cfg"
        file.write_text("hostname = registry.example.com\nhttp_port = 80\n")
        os.environ["HARBOR_CFG"] = str(file)
        os.environ["DJANGO_SETTINGS_MODULE"] = "harborsite.settings"
        (Path(home) / "data" / "database").mkdir(parents=True)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield Path(home) / "data" / "registry"


def digest(seed: str) -> str:
    return f"sha256:{hashlib.sha256(seed.encode()).hexdigest()}"


def fill(root: Path, count: int) -> int:
    """So many blobs in images; returns how many images."""
    from django.utils import timezone

    from projects.models import Project, Quota, User
    from registry.models import Artifact, ArtifactReference, Blob, BlobLink, Repository
    from registry.storage import store

    store()
    owner = User.objects.create(username="bench", email="bench@example.com")
    project = Project.objects.create(name="bench", owner=owner)
    Quota.objects.create(project=project)
    images, past = count // _LAYERS, timezone.now() - timedelta(days=1)
    old = past.timestamp()
    names = [f"bench/app{number:03}" for number in range(_REPOSITORIES)]
    found = Repository.objects.bulk_create(Repository(project=project, name=name) for name in names)
    shared = Blob.objects.create(digest=digest("shared"), size=_SIZE)
    made = Blob.objects.bulk_create(
        (Blob(digest=digest(f"blob {number}"), size=_SIZE) for number in range(images * _LAYERS)), batch_size=5000
    )
    for blob in (shared, *made):
        name = blob.digest.partition(":")[2]
        place = root / "blobs" / "sha256" / name[:2] / name
        place.mkdir()
        (place / "data").write_bytes(b"x" * _SIZE)
        os.utime(place / "data", (old, old))
    artifacts = Artifact.objects.bulk_create(
        (
            Artifact(
                repository=found[number % _REPOSITORIES],
                digest=digest(f"image {number}"),
                manifest=b"{}",
                manifest_media_type="application/vnd.oci.image.manifest.v1+json",
                type="IMAGE",
                push_time=past,
            )
            for number in range(images)
        ),
        batch_size=5000,
    )
    ArtifactReference.objects.bulk_create(
        (
            ArtifactReference(artifact=artifact, digest=each)
            for number, artifact in enumerate(artifacts)
            for each in (shared.digest, *(blob.digest for blob in made[number * _LAYERS : (number + 1) * _LAYERS]))
        ),
        batch_size=5000,
    )
    BlobLink.objects.bulk_create(
        (
            BlobLink(project=project, repository_name=names[number // _LAYERS % _REPOSITORIES], blob=blob)
            for number, blob in enumerate(made)
        ),
        batch_size=5000,
    )
    BlobLink.objects.bulk_create(BlobLink(project=project, repository_name=name, blob=shared) for name in names)
    Blob.objects.update(update_time=past)
    BlobLink.objects.update(update_time=past)
    return images


def take_away(images: int) -> None:
    """One image in ten, of every repository."""
    from registry.models import Artifact

    tenth = [digest(f"image {number}") for number in range(images) if number // _REPOSITORIES % 10 == 0]
    for start in range(0, len(tenth), 500):
        Artifact.objects.filter(digest__in=tenth[start : start + 500]).delete()


def timed(title: str, run: Callable[[], Any]) -> tuple[float, Any]:
    began, worked = time.monotonic(), time.process_time()
    result = run()
    seconds, work = time.monotonic() - began, time.process_time() - worked
    print(f"{title}: {seconds:.1f} s, {work:.1f} s of them on the processor", file=sys.stderr)
    return seconds, result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gc", description=__doc__)
    parser.add_argument("--blobs", type=int, default=100_000, help="how many there are (default: 100000)")
    parser.add_argument("--workers", type=int, default=1, help="how many files are removed at once (default: 1)")
    options = parser.parse_args()
    with installation() as root:
        from projects.models import Project
        from registry.services import gc, preview, usage

        _, images = timed("fill", lambda: fill(root, options.blobs))
        timed("take away", lambda: take_away(images))
        project = Project.objects.get(name="bench")
        used, _ = timed("usage of the project", lambda: usage.of_project(project.pk))
        looked, told = timed("preview", lambda: preview.compute(delete_untagged=False, grace=gc.GRACE))
        ran, done = timed("run", lambda: gc.run(workers=options.workers, report=lambda line: None))
        idle, _ = timed("run that finds nothing", lambda: gc.run(report=lambda line: None))
        if (told.blobs, told.bytes) != (done.blobs, done.bytes):
            sys.exit(f"the preview told {told.blobs} blobs, the run removed {done.blobs}")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{done.blobs} garbage blobs among {options.blobs}, {images} images in {_REPOSITORIES} repositories")
    print(f"usage {used:.1f} s, preview {looked:.1f} s, run {ran:.1f} s, run without garbage {idle:.1f} s")
    print(f"{done.blobs / ran:,.0f} blobs/s; largest memory {memory:.0f} MiB")
    return 0 if ran < MUST_SECONDS * options.blobs / 100_000 else 1


if __name__ == "__main__":
    sys.exit(main())
