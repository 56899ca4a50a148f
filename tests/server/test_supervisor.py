"""The process tree: children come back, go in time, and do not outlive their parent."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services import ROOT, ServerProcess


def _pids(directory: Path, name: str) -> list[int]:
    try:
        return [int(line) for line in (directory / name).read_text().split()]
    except FileNotFoundError:
        return []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _within(seconds: float, fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def family(tmp_path: Path) -> Iterator[ServerProcess]:
    argv = [sys.executable, "-m", "tests.server.family", str(tmp_path), "ordinary"]
    process = ServerProcess("family", argv, directory=tmp_path, env={"PYTHONPATH": str(ROOT)})
    process.wait_until(lambda: bool(_pids(tmp_path, "obedient") and _pids(tmp_path, "stubborn")))
    yield process
    family = [pid for name in ("obedient", "stubborn") for pid in _pids(tmp_path, name)]
    process.kill()
    assert _within(3, lambda: not any(_lives(pid) for pid in family))


def test_a_dead_child_is_started_again(family: ServerProcess, tmp_path: Path) -> None:
    os.kill(_pids(tmp_path, "obedient")[0], signal.SIGKILL)
    assert _within(5, lambda: len(_pids(tmp_path, "obedient")) == 2)
    assert len(_pids(tmp_path, "stubborn")) == 1


def test_all_are_gone_ten_seconds_after_sigterm_however_stubborn(family: ServerProcess, tmp_path: Path) -> None:
    children = _pids(tmp_path, "obedient") + _pids(tmp_path, "stubborn")
    family.stop(seconds=10)
    assert not any(_lives(pid) for pid in children)
    assert family.process.returncode == 0


def test_children_end_with_a_parent_that_was_killed(family: ServerProcess, tmp_path: Path) -> None:
    obedient = _pids(tmp_path, "obedient")[0]
    os.kill(family.process.pid, signal.SIGKILL)
    assert _within(3, lambda: not _lives(obedient))


def _other(tmp_path: Path, family: str) -> ServerProcess:
    argv = [sys.executable, "-m", "tests.server.family", str(tmp_path), family]
    return ServerProcess(family, argv, directory=tmp_path, env={"PYTHONPATH": str(ROOT)})


def test_all_end_with_the_status_of_a_vital_child_that_refuses(tmp_path: Path) -> None:
    process = _other(tmp_path, "refused")
    assert process.process.wait(15) == 3
    assert not any(_lives(pid) for pid in _pids(tmp_path, "obedient"))


def test_what_is_needed_by_others_goes_after_them(tmp_path: Path) -> None:
    process = _other(tmp_path, "staged")
    process.wait_until(lambda: bool(_pids(tmp_path, "needed-came") and _pids(tmp_path, "needs it-came")))
    process.stop(seconds=10)
    assert (tmp_path / "order").read_text().splitlines() == ["needs it", "needed"]
