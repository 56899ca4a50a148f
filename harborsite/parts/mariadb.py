"""MariaDB of this installation's own: its files below the data volume, a socket that only we can reach."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import MySQLdb

from harborsite.config import Config
from harborsite.parts import Part, find
from harborsite.server.processes import die_with_parent
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

_FOR_ROOT: Final = ("--user=root",)  # it refuses to run as root unless told to
PATIENCE: Final = 60.0  # seconds until it must answer; recovery after a power cut takes some
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
        ],
        for_root=_FOR_ROOT,
        files=lambda: {run / "mariadb.sql": _init(config)},
        make=lambda: _make(config),
    )


def _data(config: Config) -> Path:
    return config.data_volume / "mariadb"


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
        *(_FOR_ROOT if os.geteuid() == 0 else ()),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise SetupError(
            gettext("the database cannot be made in {data}: {value}").format(data=_data(config), value=_last(done))
        )
    draft.rename(_data(config))


def _connect(config: Config) -> MySQLdb.Connection:
    place = config.database
    return MySQLdb.connect(unix_socket=place.host, user=place.user, password=config.db_password)


def answers(config: Config) -> bool:
    """Whether it lets us in; raises SetupError where it never will."""
    try:
        _connect(config).close()
    except MySQLdb.OperationalError as error:
        if error.args[0] == _NO_SERVER:
            return False
        raise SetupError(
            gettext("{where}: db_password: MariaDB refuses us: {reason}.").format(
                where=config.place("db_password"), reason=error.args[-1]
            )
        ) from None
    return True


def wait(config: Config, seconds: float) -> None:
    """Return when the database answers; raises SetupError if it takes longer."""
    deadline = time.monotonic() + seconds
    while not answers(config):
        if time.monotonic() > deadline:
            raise SetupError(
                gettext(
                    "{where}: database: MariaDB does not answer at {host}. {run_dir}/mariadb.err says "
                    "why; 'manage.py start' starts it."
                ).format(where=config.place("database"), host=config.database.host, run_dir=config.run_dir)
            )
        time.sleep(0.1)


def behind(config: Config) -> str:
    """The version that the server's own tables are of, where the server that runs is of a newer series; else empty."""
    with closing(_connect(config)) as server, closing(server.cursor()) as cursor:
        cursor.execute("SELECT VERSION()")
        now = str(cursor.fetchone()[0])
    files = (_data(config) / name for name in ("mariadb_upgrade_info", "mysql_upgrade_info"))  # of MariaDB 11, of 10
    of_tables = next((file.read_text().rstrip("\0\n") for file in files if file.is_file()), "0.0")
    return of_tables if _series(of_tables) < _series(now) else ""


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def upgrade(config: Config) -> str:
    """After Debian has brought a newer series: have it bring its own tables up to date; it must run.

    Returns the version that they were of, empty where nothing was to do; raises SetupError.
    """
    before = behind(config)
    if before:
        # By the account that the files were made for, who needs no password on the socket.
        argv = [find("mariadb-upgrade"), "--no-defaults", f"--socket={config.database.host}"]
        done = subprocess.run([*argv, f"--user={getpass.getuser()}"], capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            raise SetupError(
                gettext("{data}: mariadb-upgrade from {version} stopped: {value}").format(
                    data=_data(config), version=before, value=_last(done)
                )
            )
    return before


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what a program said."""
    return ((done.stderr or done.stdout).strip().splitlines() or ["it did not say why"])[-1]


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
            deadline = time.monotonic() + PATIENCE
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
