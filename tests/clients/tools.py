"""Command line clients, run with a home directory of their own."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.services import ROOT


class Tool:
    """A client program; calling it runs it and returns what it printed on standard output."""

    def __init__(self, name: str, home: Path, env: Mapping[str, str] = {}, options: tuple[str, ...] = ()) -> None:
        own = ROOT / ".tools" / "bin" / name
        found = str(own) if own.exists() else shutil.which(name)
        assert found, f"{name} is missing: ./test.sh installs it"
        self.command = (found, *options)
        self.env = os.environ | {"HOME": str(home), "DOCKER_CONFIG": str(home / ".docker")} | dict(env)

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{self._line(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def refused(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run a command that has to fail, and return what it said."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"{self._line(arguments)} should have failed\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def run(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [*self.command, *map(str, arguments)]
        return subprocess.run(argv, input=stdin, env=self.env, capture_output=True, text=True, timeout=180)

    def _line(self, arguments: tuple[str | Path, ...]) -> str:
        return " ".join(map(str, (Path(self.command[0]).name, *self.command[1:], *arguments)))
