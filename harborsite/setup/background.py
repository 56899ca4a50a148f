"""Starting the server in the background: what `start` and install.sh do, and what they say then."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from harborsite.config import BASE_DIR, Config
from harborsite.parts import systemd
from harborsite.setup import SetupError, certificates, logfile, readiness
from harborsite.setup.instance import is_healthy, running
from harborsite.shelltext import gettext

_PATIENCE = 60.0  # seconds; a start takes two
_TAIL = 15


def start(config: Config) -> int:
    """Start the server in the background, by systemd where it has its units; returns its process id once healthy."""
    if pid := running(config):
        raise SetupError(
            gettext("Harborsite is running already on {data_volume}, as process {pid}.").format(
                data_volume=config.data_volume, pid=pid
            )
        )
    if systemd.is_used():
        return _start_units(config)
    log = logfile.path(config)
    logfile.rotate(log)
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, str(BASE_DIR / "manage.py"), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=BASE_DIR,
            env=os.environ | {"HARBOR_CFG": str(config.source), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE
    while not (running(config) == server.pid and is_healthy(config)):
        if server.poll() is not None:
            raise SetupError(
                gettext("the server ended at once. {log} says:\n{tail}").format(log=log, tail=_tail(log, begin))
            )
        if time.monotonic() > deadline:
            raise SetupError(
                gettext(
                    "the server runs, as process {pid}, but is not healthy after {patience:.0f} s. {log} says:\n{tail}"
                ).format(pid=server.pid, patience=_PATIENCE, log=log, tail=_tail(log, begin))
            )
        time.sleep(0.1)
    return server.pid


def _start_units(config: Config) -> int:
    """Refuse by ourselves what a unit could only write into the journal, over and over."""
    certificates.check(config)
    readiness.check_storage(config)
    readiness.check_files(config)
    readiness.check_ports(config)
    systemd.start()
    deadline = time.monotonic() + _PATIENCE
    while not ((pid := running(config)) and is_healthy(config)):
        if time.monotonic() > deadline:
            raise SetupError(
                gettext(
                    "the units are started, but the server is not healthy after {patience:.0f} s. "
                    "'journalctl -u \"harborsite*\"' and {data_volume}/log say why."
                ).format(patience=_PATIENCE, data_volume=config.data_volume)
            )
        time.sleep(0.1)
    return pid


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-_TAIL:])


def welcome(config: Config) -> str:
    """Where the portal is, who signs in, and three lines to try."""
    host = config.registry_host
    lines = [
        "",
        gettext("Portal   {url}").format(url=config.external_url),
        gettext("Sign in  admin, with harbor_admin_password of {file}").format(file=config.source),
        "",
        gettext("Try it where docker runs, with an image that is there:"),
        f"  docker login {host} -u admin",
        f"  docker tag hello-world:latest {host}/library/hello-world:latest",
        f"  docker push {host}/library/hello-world:latest",
    ]
    return "\n".join(lines)
