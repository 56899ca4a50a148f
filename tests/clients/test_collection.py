"""Garbage collection beside a running server, killed in the middle, and finished by the next run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry

STRAYS = 1200  # more than two batches, whose lines are more than a pipe holds


@pytest.fixture
def site() -> Iterator[services.Site]:
    with services.harborsite() as running:
        yield running


def stray(root: Path, number: int) -> None:
    """A file without a row, two days old."""
    data = b"stray %d" % number
    name = hashlib.sha256(data).hexdigest()
    place = root / "blobs" / "sha256" / name[:2] / name
    place.mkdir(parents=True)
    (place / "data").write_bytes(data)
    old = time.time() - 2 * 86_400
    os.utime(place / "data", (old, old))


def files(root: Path) -> set[str]:
    return {file.parent.name for file in root.glob("blobs/sha256/*/*/data")}


def test_a_collection_that_is_killed_is_finished_by_the_next(site: services.Site) -> None:
    registry = Registry(site.host, "admin", site.password)
    root = site.data / "registry"
    kept = images.image("kept", layers=2)
    registry.push("library/app", kept, "v1")
    lonely = [registry.push_blob("library/app", b"lonely %d" % number) for number in range(20)]
    for number in range(STRAYS):
        stray(root, number)
    needed = {blob.digest.partition(":")[2] for blob in kept.blobs}
    assert len(files(root)) == STRAYS + len(lonely) + len(needed)

    argv = [sys.executable, str(services.ROOT / "manage.py"), "gc", "--grace", "0", "--workers", "4"]
    env = os.environ | site.env | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as collection:
        assert collection.stdout is not None
        removed = 0
        for line in collection.stdout:  # it can not run on: nobody reads what it says next
            removed += line.startswith("blob ")
            if removed == len(lonely) + 100:
                break
        collection.kill()
    left = files(root)
    assert needed < left, "it was in the middle"
    registry.assert_serves("library/app", "v1", kept)

    told = json.loads(site.manage("gc", "--grace", "0", "--dry-run", "--json"))
    done = json.loads(site.manage("gc", "--grace", "0", "--workers", "4", "--json"))
    assert done["blobs"] == told["blobs"] >= len(left - needed)
    assert files(root) == needed
    registry.assert_serves("library/app", "v1", kept)
    assert registry.push_blob("library/app", b"lonely 1") in lonely, "what was removed can be pushed again"
    assert json.loads(site.manage("check_storage", "--json"))["findings"] == []
