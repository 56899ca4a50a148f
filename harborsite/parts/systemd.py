"""The parts and the product as units of systemd, where it runs and we are root."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Final

from harborsite import parts
from harborsite.config import BASE_DIR, Config
from harborsite.parts import node, owner, rendered
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

UNITS: Final = Path("/etc/systemd/system")
TARGET: Final = "harborsite.target"
PRODUCT: Final = "harborsite.service"


def is_there() -> bool:
    """Whether units can be installed: systemd is this machine's first process, and we may tell it what to do."""
    return Path("/run/systemd/system").is_dir() and os.geteuid() == 0


def is_used() -> bool:
    """Whether the units of this very installation are installed."""
    target = UNITS / TARGET
    return target.is_file() and f"in {BASE_DIR}\n" in target.read_text()


def units(config: Config) -> dict[str, str]:
    """Each unit's file name with its content."""
    user = owner(config)
    common = {
        "DIRECTORY": str(BASE_DIR),
        "USER": user,
        "ENVIRONMENT": _quoted(f"HARBOR_CFG={config.source}"),
    }
    found = {
        f"harborsite-{part.name}.service": rendered(
            "part.service",
            common
            | {"DESCRIPTION": part.description, "AFTER": "", "COMMAND": _line(part.command(is_root=user == "root"))},
        )
        for part in parts.of(config)
    }
    command = _line(node.product(config))
    more = {"DESCRIPTION": "Web and job processes", "AFTER": " ".join(found), "COMMAND": command}
    content = {**found, PRODUCT: rendered("part.service", common | more)}
    return {**content, TARGET: rendered(TARGET, {"DIRECTORY": str(BASE_DIR), "UNITS": " ".join(content)})}


def _line(argv: list[str]) -> str:
    return " ".join(map(_quoted, argv))


def _quoted(word: str) -> str:
    """As systemd reads words: its quotes are the shell's, and % and $ mean something to it."""
    return shlex.quote(word).replace("%", "%%").replace("$", "$$")


def install(config: Config) -> None:
    """Write the units and have systemd read them; raises SetupError where another installation has them."""
    target = UNITS / TARGET
    if target.is_file() and not is_used():
        raise SetupError(
            gettext(
                "{target} belongs to another Harborsite on this machine. Run its ./install.sh --uninstall first."
            ).format(target=target)
        )
    for name, content in units(config).items():
        (UNITS / name).write_text(content)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", *units(config))


def start() -> None:
    _systemctl("start", TARGET, *_installed())


def stop() -> None:
    _systemctl("stop", TARGET, *_installed())


def is_active() -> bool:
    done = subprocess.run(["systemctl", "is-active", "--quiet", PRODUCT], check=False)  # noqa: S603, S607
    return done.returncode == 0


def remove() -> bool:
    """Stop and take away the units of this installation; returns whether there were any."""
    if not is_used():
        return False
    stop()
    _systemctl("disable", "--quiet", TARGET, *_installed())
    for unit in (TARGET, *_installed()):
        (UNITS / unit).unlink()
    _systemctl("daemon-reload")
    return True


def _installed() -> list[str]:
    return sorted(file.name for file in UNITS.glob("harborsite*.service"))


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise SetupError(f"systemctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
