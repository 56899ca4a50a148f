"""Registry tests have a store of their own, on a real disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from projects.models import Project
from registry import storage
from registry.services import pulls
from registry.storage import BlobStore
from registry.storage.filesystem import FilesystemStore
from tests.factories import client_for


@pytest.fixture(autouse=True)
def blob_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobStore]:
    monkeypatch.setattr(storage, "open_store", lambda location, root: FilesystemStore(tmp_path / "registry"))
    storage.store.cache_clear()
    yield storage.store()
    storage.store.cache_clear()


@pytest.fixture(autouse=True)
def _pulls_of_this_test() -> Iterator[None]:
    """What no test flushed must not reach the next one's database."""
    yield
    pulls.pulls.forget()


@pytest.fixture
def owner(library: Project) -> Client:
    """A client of alice, who may do everything in `library`."""
    return client_for(library.owner)
