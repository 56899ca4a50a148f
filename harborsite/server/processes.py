"""What Linux knows of a process's family and rights."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_NET_BIND_SERVICE: Final = 10
_CAPABILITIES_VERSION_3: Final = 0x20080522
_LIBC: Final = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Have this process sent SIGTERM when its parent is gone, even by kill -9."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def become(person: pwd.struct_passwd) -> None:
    """Root becomes this user for good, and keeps the right to listen on ports below 1024, as its children do."""
    os.initgroups(person.pw_name, person.pw_gid)
    os.setgid(person.pw_gid)
    _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setuid(person.pw_uid)
    right = 1 << _CAP_NET_BIND_SERVICE
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    _LIBC.capset(header, (ctypes.c_uint32 * 6)(right, right, right, 0, 0, 0))  # effective, permitted, inheritable
    _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_BIND_SERVICE, 0, 0)
    os.environ |= {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name}


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents before children."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [grandchild for child in children for grandchild in descendants(child)]
