"""A supervisor with children that only sleep, for tests: `python -m tests.server.family DIRECTORY FAMILY`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
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


def refuses() -> None:
    sys.exit(3)


def says_when_it_goes(name: str, seconds: float) -> None:
    """Takes its time to go, and notes when it has."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _note(f"{name}-came")
        time.sleep(60)
    finally:
        time.sleep(seconds)
        with (DIRECTORY / "order").open("a") as file:
            file.write(f"{name}\n")


FAMILIES = {
    "ordinary": [Child("obedient", obedient), Child("stubborn", stubborn)],
    "refused": [Child("obedient", obedient), Child("refuses", refuses, is_vital=True)],
    "staged": [
        Child("needed", partial(says_when_it_goes, "needed", 0.0)),
        Child("needs it", partial(says_when_it_goes, "needs it", 0.5), stage=1),
    ],
}

if __name__ == "__main__":
    Supervisor(FAMILIES[sys.argv[2]]).run()
