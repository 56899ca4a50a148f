"""`install.sh --with-proxy`: what it writes into harbor.cfg, so that the file says what runs."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from harborsite import config as boot
from harborsite.config import Config
from harborsite.files import write_whole
from harborsite.setup import SetupError
from harborsite.shelltext import gettext


def choose(config: Config) -> list[str]:
    """Ask for the parts in harbor.cfg; returns the keys that were set there.

    A database that was given stays, and so does one of SQLite that holds somebody's data.
    """
    wanted = {} if config.with_proxy else {"with_proxy": "on"}
    if "database" not in config.places and not (config.data_volume / "database").exists():
        wanted["database"] = "mariadb"
    if (config.database.own or "database" in wanted) and not config.db_password:
        wanted["db_password"] = secrets.token_urlsafe(24)
    if wanted:
        if overridden := [place for key in wanted if (place := config.place(key)).startswith("HARBOR_")]:
            raise SetupError(
                gettext("{value} is set in the environment and says otherwise. Remove it.").format(value=overridden[0])
            )
        _write(config.source, wanted)
    return list(wanted)


def _write(file: Path, wanted: dict[str, str]) -> None:
    """Set keys: where they stand, else at the end. The file is replaced as a whole, for its owner alone."""
    if file == boot.TEMPLATE:
        raise SetupError(gettext("there is no harbor.cfg. Copy {file} to harbor.cfg.").format(file=file))
    text = file.read_text(encoding="utf-8-sig")
    added = []
    for key, value in wanted.items():
        line = f"{key} = {value}"
        if set_before := re.search(rf"(?m)^[ \t]*{key}[ \t]*=.*$", text):
            text = text[: set_before.start()] + line + text[set_before.end() :]
        else:
            added.append(line)
    if added:
        text = "\n".join([text.rstrip("\n"), "", "# Set by install.sh --with-proxy.", *added, ""])
    owner = file.stat()
    write_whole(file, text.encode())
    os.chown(file, owner.st_uid, owner.st_gid)
