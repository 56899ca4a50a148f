"""The server that works on a data volume: at most one, found by the lock it holds for as long as it lives.

The lock is a POSIX record lock: it ends with its process however that ends, children do not inherit it, and the
kernel names the holder, so a process id that was written down can not turn stale.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import ssl
import struct
import time
import urllib.error
import urllib.request
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import IO

from harborsite.config import Config
from harborsite.parts import systemd
from harborsite.server.processes import descendants
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid
_GRACE = 15.0  # seconds; the server promises to be gone in ten
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound


class Role(Enum):
    """Who holds a lock: the product, or above it the parent of a node with parts."""

    NODE = "node.pid"
    PRODUCT = "harborsite.pid"


_held: list[IO[str]] = []  # open until this process ends, which is when the lock must end


def claim(config: Config, role: Role = Role.PRODUCT) -> None:
    """Be the one server on this data volume for the rest of this process."""
    file = (config.data_volume / role.value).open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SetupError(
            gettext(
                "Harborsite is running already on {data_volume}, as process {pid}. Stop it with 'manage.py stop'."
            ).format(data_volume=config.data_volume, pid=running(config))
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held.append(file)


def running(config: Config) -> int | None:
    """The process id of the server, the parent of all where it has parts, or None."""
    return next((pid for role in Role if (pid := _holder(config.data_volume / role.value))), None)


def _holder(pid_file: Path) -> int | None:
    try:
        with pid_file.open("rb") as file:
            asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except FileNotFoundError:
        return None
    return None if kind == fcntl.F_UNLCK else int(pid)


def stop(config: Config) -> bool:
    """End the server, by force if it does not go; returns whether there was one."""
    if systemd.is_used() and systemd.is_active():
        systemd.stop()
        return True
    pid = running(config)
    if pid is None:
        return False
    family = [pid, *descendants(pid)]
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    except PermissionError:
        raise SetupError(
            gettext("process {pid} belongs to another user. Stop it as that user, or as root.").format(pid=pid)
        ) from None
    deadline = time.monotonic() + _GRACE
    while running(config) == pid:
        if time.monotonic() > deadline:
            for member in family:
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
        time.sleep(0.05)
    return True


def is_healthy(config: Config) -> bool:
    """Ask the running server from this machine, past any proxy of the environment."""
    host = _ANY_ADDRESS.get(config.bind, config.bind)
    url = f"{config.ui_url_protocol}://{host}:{config.port}/api/v2.0/health"
    unchecked = ssl._create_unverified_context()  # noqa: S323 - the certificate names the outside, not loopback
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(json.load(answer)["status"] == "healthy")
    except (OSError, ValueError, KeyError):
        return False
