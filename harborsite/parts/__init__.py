"""The programs beside our own on a node with a proxy: nginx, MariaDB, rsyslog.

Each part is rendered from a template in deploy/ into `data_volume/run`, and started by the supervisor of `serve` or by
systemd. A part may die at any time and is started again; nothing of value is in `run`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harborsite.config import BASE_DIR, Config
from harborsite.files import make_private_directory, write_whole
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

_TEMPLATES: Final = BASE_DIR / "deploy"
_PLACEHOLDER: Final = re.compile(r"@([A-Z]+)@")
_SBIN: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # daemons live there, which is not on everybody's PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A program of somebody else: what it needs, how it is started, and how its configuration is checked."""

    name: str
    description: str
    package: str  # Debian's
    program: str
    arguments: Sequence[str]
    files: Callable[[], Mapping[Path, str]] = dict  # its configuration, written before each start
    directories: Sequence[Path] = ()
    for_root: Sequence[str] = ()  # further arguments where root starts it
    check: Sequence[str] = ()  # arguments with which the program only looks at its configuration
    make: Callable[[], None] = lambda: None  # what it keeps, once

    @property
    def argv(self) -> list[str]:
        return self.command(is_root=os.geteuid() == 0)

    def command(self, *, is_root: bool) -> list[str]:
        return [find(self.program), *self.arguments, *(self.for_root if is_root else ())]

    def ready_to_start(self) -> None:
        """Write its files and have it look at them; raises SetupError."""
        for directory in self.directories:
            make_private_directory(directory)
        for path, content in self.files().items():
            write_whole(path, content.encode())
        self.make()
        if self.check:
            done = subprocess.run(  # noqa: S603 - found on this machine, arguments are ours
                [find(self.program), *self.check], capture_output=True, text=True, timeout=60, check=False
            )
            if done.returncode:
                raise SetupError(
                    gettext("{name} does not take the configuration made for it: {said}").format(
                        name=self.name, said=_last(done.stderr)
                    )
                )


def of(config: Config) -> list[Part]:
    """The parts of this installation, those first that others need."""
    from harborsite.parts import mariadb, nginx, rsyslog

    parts = [mariadb.part(config)] if config.database.own else []
    return [*parts, rsyslog.part(config), nginx.part(config)] if config.with_proxy else parts


def missing_packages(parts: Sequence[Part]) -> list[str]:
    return [part.package for part in parts if _found(part.program) is None]


def make_ready(config: Config) -> list[Part]:
    """All parts, ready to be started; raises SetupError, before anything is written, where a program is missing."""
    parts = of(config)
    if missing := missing_packages(parts):
        raise SetupError(
            gettext(
                "{source}: with_proxy, database: programs are missing. Run 'sudo apt-get install -y "
                "--no-install-recommends {choices}', or ./install.sh."
            ).format(source=config.source, choices=" ".join(missing))
        )
    make_private_directory(config.run_dir)
    for part in parts:
        part.ready_to_start()
    return parts


def find(program: str) -> str:
    path = _found(program)
    if path is None:
        raise SetupError(
            gettext("the program {program} is not there. Run ./install.sh, which installs it.").format(program=program)
        )
    return path


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(_SBIN))


def owner(config: Config) -> str:
    """The user whose the data is, and for whom the parts run."""
    volume = config.data_volume
    return pwd.getpwuid(volume.stat().st_uid if volume.exists() else os.geteuid()).pw_name


def rendered(template: str, values: Mapping[str, str]) -> str:
    """deploy/`template` with each @NAME@ replaced."""
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _last(said: str) -> str:
    """The line of a program's complaint that names it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if "emerg" in line or "error" in line.lower()]
    return (named or lines or ["it did not say why"])[0]
