"""The log file of a server in the background: it is cut when it has grown, and a few old ones are kept.

All processes append to one file that they inherited, so it is copied and emptied in place, never renamed.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from harborsite.config import Config

_LARGEST = 20 * 1024 * 1024
_KEPT = 5


def path(config: Config) -> Path:
    return config.data_volume / "log" / "harborsite.log"


def rotate(log: Path, *, largest: int = _LARGEST) -> bool:
    """Move what is in `log` to `log`.1, and so on, if it is larger than `largest`; says whether it did."""
    if not log.exists() or log.stat().st_size <= largest:
        return False
    for number in range(_KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    with suppress(OSError):  # on a full disk, room for what is to come is worth more than what was
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True


def keep_short(config: Config) -> None:
    """Rotate the log if it is what this process writes to; cheap enough to be asked every second."""
    output = os.fstat(1)
    if output.st_size > _LARGEST:
        log = path(config)
        if log.exists() and os.path.samestat(output, log.stat()):
            rotate(log)
