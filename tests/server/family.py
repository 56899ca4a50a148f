"""A supervisor with two children that only sleep, for tests: `python -m tests.server.family DIRECTORY`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harborsite.server.supervisor import Child, Supervisor

DIRECTORY = Path(sys.argv[1])


def _note(name: str) -> None:
    with (DIRECTORY / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def obedient() -> None:
    _note("obedient")
    time.sleep(60)


def stubborn() -> None:
    """Ignores SIGTERM, and has a child that does so too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note("stubborn")
    subprocess.run(["sleep", "60"], check=False)


if __name__ == "__main__":
    Supervisor([Child("obedient", obedient), Child("stubborn", stubborn)]).run()
