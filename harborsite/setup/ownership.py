"""Who the data belongs to, where root sets up units of systemd for somebody else."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable

from harborsite import parts
from harborsite.config import BASE_DIR, Config
from harborsite.parts import systemd
from harborsite.server.processes import become
from harborsite.setup import SetupError
from harborsite.shelltext import gettext


def become_owner(config: Config) -> None:
    """Where the units run as somebody else, root works as that user, so that they can read what it makes.

    For good: this process can not go back. Raises SetupError where they cannot read what they need.
    """
    person = _other_owner(config)
    if person is None:
        return
    become(person)
    for path in (BASE_DIR, config.source):
        if not os.access(path, os.R_OK):
            raise SetupError(
                gettext(
                    "{path} cannot be read by {user}, to whom {data_volume} belongs and as whom the server runs. "
                    "Run 'chown {user} {path}', or put it where {user} can read it."
                ).format(path=path, user=person.pw_name, data_volume=config.data_volume)
            )


def as_owner(config: Config, work: Callable[[], None]) -> None:
    """The same for `work` alone, in a process of its own; one that fails ends this process with its status."""
    if _other_owner(config) is None:
        work()
        return
    child = os.fork()
    if child == 0:
        become_owner(config)
        work()
        sys.exit()
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))


def _other_owner(config: Config) -> pwd.struct_passwd | None:
    if not (systemd.is_there() and parts.of(config) and config.data_volume.exists()):
        return None
    person = pwd.getpwnam(parts.owner(config))
    return person if person.pw_uid else None
