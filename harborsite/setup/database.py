"""The database as a whole: whether it is there, which version of the product wrote it, and bringing it up to date."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from types import FrameType

import MySQLdb
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from harborsite.config import Config
from harborsite.files import make_private_directory
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

_UNKNOWN_DATABASE, _ACCESS_DENIED, _DATABASE_DENIED = 1049, 1045, 1044
_FIRST_SETUP = "harborsite_first_setup"  # a table that stands while MySQL's first migration is under way


class State(Enum):
    """How the tables compare with this version of the code."""

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"


def ensure_exists(config: Config) -> None:
    """Make the place for the tables: a directory for SQLite, a database on the MySQL server."""
    if config.database.engine == "sqlite":
        make_private_directory(config.data_volume / "database")
    elif not _mysql_has_database(config):
        with closing(_mysql_connect(config, "")) as server, closing(server.cursor()) as cursor:
            name = config.database.name  # the configuration allows letters, digits and _ only
            try:
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            except MySQLdb.Error as error:
                raise SetupError(
                    gettext(
                        "{source}: database: there is no database {name!r} and user {user!r} may not create "
                        "it ({reason}). Create it, or grant the user the right."
                    ).format(source=config.source, name=name, user=config.database.user, reason=error.args[-1])
                ) from None


def _mysql_has_database(config: Config) -> bool:
    try:
        _mysql_connect(config, config.database.name).close()
    except MySQLdb.Error as error:
        if error.args[0] == _UNKNOWN_DATABASE:
            return False
        raise
    return True


def _mysql_connect(config: Config, name: str) -> MySQLdb.Connection:
    place = config.database
    address = {"unix_socket": place.host} if place.own else {"host": place.host, "port": place.port}
    try:
        return MySQLdb.connect(**address, user=place.user, password=config.db_password, database=name)
    except MySQLdb.Error as error:
        if error.args[0] == _UNKNOWN_DATABASE:
            raise
        remedy = gettext("Is the server running there?")
        if error.args[0] in {_ACCESS_DENIED, _DATABASE_DENIED}:
            remedy = gettext("Correct the user in database, or db_password.")
        where = f"{place.host}:{place.port}"
        raise SetupError(
            gettext("{source}: database: {where} refuses us: {reason}. {remedy}").format(
                source=config.source, where=where, reason=error.args[-1], remedy=remedy
            )
        ) from None


def state() -> State:
    """Compare what was applied with the migrations of this code."""
    try:
        executor = MigrationExecutor(connection)
    except (DatabaseError, sqlite3.Error) as error:
        raise SetupError(gettext("the database cannot be read: {error}").format(error=error)) from None
    known = executor.loader.disk_migrations
    labels = {config.label for config in apps.get_app_configs()}
    if any(key not in known for key in executor.loader.applied_migrations if key[0] in labels):
        return State.NEWER
    behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return State.BEHIND if behind else State.CURRENT


def refuse_newer() -> None:
    """An older version must not write into tables that it does not know."""
    if state() is State.NEWER:
        raise SetupError(
            gettext(
                "the database was written by a newer version of Harborsite. Run that version, or "
                "restore a backup from before the upgrade."
            )
        )


@contextmanager
def upgrading() -> Iterator[None]:
    """Bring the tables up to date, then run the block; what a broken-off first set-up left is cleared before.

    MySQL commits after each statement that changes a table, so a killed first migration can not simply be
    continued. Nothing of value can be in the database before the first set-up has ended, so it starts over.
    """
    with _interrupts_held_back():
        first = _begin_first_setup() if connection.vendor == "mysql" else False
        call_command("migrate", interactive=False, verbosity=0)
        yield
        if first:
            _execute(f"DROP TABLE {_FIRST_SETUP}")


def _begin_first_setup() -> bool:
    tables = connection.introspection.table_names()
    if _FIRST_SETUP in tables:
        _execute("SET FOREIGN_KEY_CHECKS = 0", *(f"DROP TABLE `{name}`" for name in tables if name != _FIRST_SETUP))
        _execute("SET FOREIGN_KEY_CHECKS = 1")
        return True
    if tables:
        return False
    _execute(f"CREATE TABLE {_FIRST_SETUP} (id integer)")
    return True


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM only when the block has ended: half a table change helps nobody."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        signal.raise_signal(asked[0])
