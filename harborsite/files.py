"""Small files that must be whole or absent, whatever interrupts the writer."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, for the owner alone, by way of a rename; on the disk when this returns."""
    draft = path.with_name(f".{path.name}.new")  # one fixed name, so that a killed writer leaves no litter behind
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def make_private_directory(path: Path) -> None:
    """Make `path` for the owner alone. One that exists keeps its mode: the operator may have had a reason."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
