"""The process tree of a node with parts: one parent, below it the programs of others and the product itself.

This is what `serve` runs where there are parts and no systemd; the product is then `serve --without-parts`, as in its
unit. They need not start in order: the product waits for its database, and nginx says that nobody is there yet.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Final

from harborsite import parts
from harborsite.config import BASE_DIR, Config
from harborsite.server.supervisor import Child, Supervisor
from harborsite.setup import logfile

STOP_SECONDS: Final = 9.7  # `serve` promises to be gone after ten; the product itself needs less
_STAGES: Final = {"mariadb": 0, "rsyslog": 0, "nginx": 2}  # the product is between: it needs its database to the end


def product(config: Config, *options: str) -> list[str]:
    """The command that runs the product alone."""
    return [sys.executable, str(BASE_DIR / "manage.py"), "serve", "--without-parts", *options]


def run(config: Config, *, access_log: bool = False) -> None:
    """Run everything in the foreground until SIGTERM; raises SetupError before anything is started."""
    ready = parts.make_ready(config)
    argv = product(config, *(["--access-log"] if access_log else []))
    children = [
        Child("product", partial(_become, argv), stage=1, is_vital=True),
        *(Child(part.name, partial(_become, part.argv), stage=_STAGES[part.name]) for part in ready),
    ]
    Supervisor(children, chore=partial(logfile.keep_short, config), stop_seconds=STOP_SECONDS).run()


def _become(argv: list[str]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and other programs would inherit that
    os.execv(argv[0], argv)  # noqa: S606 - found on this machine, arguments are ours
