"""MariaDB of this installation's own: its files below the data volume, a socket that only we can reach."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import MySQLdb

from harborsite.config import Config
from harborsite.parts import Part, find
from harborsite.server.processes import die_with_parent
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

_PATIENCE: Final = 60.0  # seconds until it must answer; recovery after a power cut takes some
_NO_SERVER: Final = 2002  # of the client library: nobody listens on the socket


def part(config: Config) -> Part:
    run = config.run_dir
    return Part(
        name="mariadb",
        description="Database (MariaDB)",
        package="mariadb-server",
        program="mariadbd",
        arguments=[
            "--no-defaults",
            f"--datadir={_data(config)}",
            f"--socket={config.database.host}",
            f"--pid-file={run}/mariadb.pid",
            f"--log-error={run}/mariadb.err",
            f"--init-file={run}/mariadb.sql",
            *(
                "--skip-networking",
                "--skip-log-bin",
                "--character-set-server=utf8mb4",
                "--collation-server=utf8mb4_bin",
            ),
            *("--innodb-buffer-pool-size=256M", "--max-connections=500", "--max-allowed-packet=64M"),
            *_as_root(),
        ],
        files=lambda: {run / "mariadb.sql": _init(config)},
        make=lambda: _make(config),
    )


def _data(config: Config) -> Path:
    return config.data_volume / "mariadb"


def _as_root() -> list[str]:
    """It refuses to run as root unless told to."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _init(config: Config) -> str:
    """What is run at each start, so that the password is the one of harbor.cfg; each line is a statement."""
    name, user, password = config.database.name, config.database.user, _quoted(config.db_password)
    return (
        f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
        f"CREATE USER IF NOT EXISTS {user}@localhost IDENTIFIED BY {password};\n"
        f"ALTER USER {user}@localhost IDENTIFIED BY {password};\n"
        f"GRANT ALL ON {name}.* TO {user}@localhost;\n"
    )


def _quoted(text: str) -> str:
    escaped = re.sub(r"(['\\])", r"\\\1", text)
    return f"'{escaped}'"


def _make(config: Config) -> None:
    """The files of an empty server, whole or not at all."""
    if _data(config).is_dir():
        return
    draft = _data(config).with_name("mariadb.new")
    shutil.rmtree(draft, ignore_errors=True)  # left by a run that was broken off
    argv = [
        find("mariadb-install-db"),
        "--no-defaults",
        f"--datadir={draft}",
        "--auth-root-authentication-method=socket",
        f"--auth-root-socket-user={getpass.getuser()}",
        "--skip-test-db",
        *_as_root(),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it did not say why"]
        raise SetupError(
            gettext("the database cannot be made in {data}: {value}").format(data=_data(config), value=said[-1])
        )
    draft.rename(_data(config))


def answers(config: Config) -> bool:
    """Whether it lets us in; raises SetupError where it never will."""
    place = config.database
    try:
        MySQLdb.connect(unix_socket=place.host, user=place.user, password=config.db_password).close()
    except MySQLdb.OperationalError as error:
        if error.args[0] == _NO_SERVER:
            return False
        raise SetupError(
            gettext("{where}: db_password: MariaDB refuses us: {reason}.").format(
                where=config.place("db_password"), reason=error.args[-1]
            )
        ) from None
    return True


def wait(config: Config) -> None:
    """Return when the database answers; raises SetupError if it takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while not answers(config):
        if time.monotonic() > deadline:
            raise SetupError(
                gettext(
                    "{where}: database: MariaDB does not answer at {host}. {run_dir}/mariadb.err says "
                    "why; 'manage.py start' starts it."
                ).format(where=config.place("database"), host=config.database.host, run_dir=config.run_dir)
            )
        time.sleep(0.1)


@contextmanager
def running(config: Config) -> Iterator[None]:
    """For the block the database runs: it does already, or it is started and ended again."""
    if answers(config):
        yield
        return
    argv = part(config).argv
    with subprocess.Popen(  # noqa: S603 - our own arguments
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
    ) as process:
        try:
            deadline = time.monotonic() + _PATIENCE
            while not answers(config):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SetupError(
                        gettext("{where}: database: MariaDB does not start. {run_dir}/mariadb.err says why.").format(
                            where=config.place("database"), run_dir=config.run_dir
                        )
                    )
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
