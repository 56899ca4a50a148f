"""The bytes of the registry: one small protocol, and the drivers that keep it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from harborsite.config import current
from registry.storage.base import (
    Appended,
    BlobMissingError,
    BlobStore,
    Capacity,
    DigestMismatchError,
    OffsetMismatchError,
    StorageError,
    StorageFullError,
    StoredBlob,
    StoredUpload,
    UploadBusyError,
    UploadUnknownError,
)
from registry.storage.filesystem import FilesystemStore
from registry.storage.memory import MemoryStore

__all__ = [
    "Appended",
    "BlobMissingError",
    "BlobStore",
    "Capacity",
    "DigestMismatchError",
    "OffsetMismatchError",
    "StorageError",
    "StorageFullError",
    "StoredBlob",
    "StoredUpload",
    "UploadBusyError",
    "UploadUnknownError",
    "open_store",
    "store",
]

DRIVERS: Final[dict[str, Callable[[str, Path], BlobStore]]] = {
    "filesystem": lambda location, root: FilesystemStore(root),
    "memory": lambda location, root: MemoryStore(),
}


def open_store(location: str, root: Path) -> BlobStore:
    """The store at `location`: a driver's name, or an address whose scheme is one; files go below `root`."""
    name = location.partition("://")[0]
    try:
        driver = DRIVERS[name]
    except KeyError:
        raise ValueError(f"unknown storage driver {name!r}; known are {', '.join(sorted(DRIVERS))}") from None
    return driver(location, root)


@cache
def store() -> BlobStore:
    """The store of this process, as harbor.cfg names it; files go below the data volume."""
    config = current()
    return open_store(config.storage, config.data_volume / "registry")
