"""install.sh in a fresh clone, as the README has it: set up, broken off, run again, with all parts, and taken away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import LOOPBACK, ROOT, free_port, workspace


class Clone:
    """A copy of the tree, where nothing was installed yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "harbor.cfg"
        files = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
        for name in files.stdout.splitlines():
            if (ROOT / name).is_file():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, directory / name)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=300)

    def install(self, *arguments: str) -> str:
        done = self.run("./install.sh", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refusal(self, *arguments: str) -> str:
        done = self.run("./install.sh", *arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    def broken_off(self, seconds: float, *arguments: str) -> None:
        # A test run in the background of a shell ignores Ctrl-C, and so would its children.
        with subprocess.Popen(
            ["./install.sh", *arguments],
            cwd=self.directory,
            env=self.env,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
        assert process.returncode == 130

    def configure(self, **keys: object) -> None:
        lines = [line for line in self.config.read_text().splitlines() if line.partition(" =")[0] not in keys]
        self.config.write_text("\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items()), ""]))

    def kept(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (self.directory / "data" / "secret").iterdir()}

    def processes(self) -> list[str]:
        found = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [line for line in found.splitlines() if str(self.directory) in line]

    @property
    def env(self) -> dict[str, str]:
        """Without what the tests set for themselves: install.sh is to find its own configuration."""
        return {name: value for name, value in os.environ.items() if not name.startswith(("HARBOR_", "DJANGO_"))}


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    with workspace("clone") as directory:
        clone = Clone(directory)
        yield clone
        if (directory / ".venv").exists():
            clone.install("--uninstall")


def test_what_it_does_not_know_is_refused() -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / "install.sh")]).returncode == 0
    for wrong in (["--force"], ["--uninstall", "--no-start"]):
        done = subprocess.run([ROOT / "install.sh", *wrong], capture_output=True, text=True)
        assert done.returncode == 2
        assert "usage: ./install.sh [--with-proxy] [--no-start]" in done.stderr


@pytest.mark.slow
def test_a_fresh_clone_is_set_up_after_ctrl_c_and_upgraded(clone: Clone) -> None:
    """The one command of the README, broken off twice, then run to its end, then run again."""
    for seconds in (1, 4):
        clone.broken_off(seconds, "--no-start")
    assert "created, with administrator admin" in clone.install("--no-start")
    assert stat.S_IMODE(clone.config.stat().st_mode) == 0o600
    keys = clone.kept()
    assert "Python packages       up to date" in clone.install("--no-start")
    assert clone.kept() == keys
    given = clone.config.read_text()
    clone.config.write_text("http_prot = 80\n")
    said = clone.refusal()
    clone.config.write_text(given)
    assert "harbor.cfg:1: unknown key 'http_prot'" in said


@pytest.mark.slow
def test_all_parts_are_added_by_one_word_and_taken_away_by_another(clone: Clone) -> None:
    """Over an installation on SQLite, whose data stays; then on a MariaDB of its own; the keys are never touched."""
    clone.configure(http_port=(port := free_port()), hostname=LOOPBACK, bind=LOOPBACK)
    keys = clone.kept()
    said = clone.install("--with-proxy")
    assert "with_proxy set" in said
    assert "rsyslog, nginx ready" in said
    assert "mariadb" not in said
    assert f"http://{LOOPBACK}:{port}" in said

    shutil.rmtree(clone.directory / "data" / "database")  # the operator starts over
    clone.broken_off(2, "--with-proxy")
    assert "mariadb, rsyslog, nginx ready" in clone.install("--with-proxy")
    assert "database = mariadb" in clone.config.read_text()
    status = json.loads(clone.run(".venv/bin/python", "manage.py", "status", "--json").stdout)
    assert status["healthy"] is True
    assert "mariadb, rsyslog, nginx ready" in clone.install()  # it stays so without the word

    said = clone.install("--uninstall")
    assert f"kept in {clone.directory}/data" in said
    assert clone.processes() == []
    assert not (clone.directory / ".venv").exists()
    assert clone.kept() == keys
    assert (clone.directory / "data" / "mariadb").is_dir()
    assert "nothing to take away" in clone.install("--uninstall")
