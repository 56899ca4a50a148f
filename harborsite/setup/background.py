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

_PATIENCE = 60.0  # seconds; a start takes two
_TAIL = 15


def start(config: Config) -> int:
    """Start the server in the background, by systemd where it has its units; returns its process id once healthy."""
    if pid := running(config):
        raise SetupError(f"Harborsite is running already on {config.data_volume}, as process {pid}.")
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
            raise SetupError(f"the server ended at once. {log} says:\n{_tail(log, begin)}")
        if time.monotonic() > deadline:
            raise SetupError(
                f"the server runs, as process {server.pid}, but is not healthy after {_PATIENCE:.0f} s. "
                f"{log} says:\n{_tail(log, begin)}"
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
                f"the units are started, but the server is not healthy after {_PATIENCE:.0f} s. "
                f"'journalctl -u \"harborsite*\"' and {config.data_volume}/log say why."
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
    return f"""
Portal   {config.external_url}
Sign in  admin, with harbor_admin_password of {config.source}

Try it where docker runs, with an image that is there:
  docker login {host} -u admin
  docker tag hello-world:latest {host}/library/hello-world:latest
  docker push {host}/library/hello-world:latest"""
