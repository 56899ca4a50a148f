"""Whether the server may start: each reason not to is one line that says what to do."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import tempfile
from typing import Final

from harborsite.config import Config
from harborsite.parts import mariadb
from harborsite.server.web import has_ipv6
from harborsite.setup import SetupError, database
from harborsite.shelltext import gettext
from projects.models import User
from projects.models.user import ADMIN_ID
from registry.auth.keys import KeysRefused, ensure_keys

_RESTART: Final = 5.0  # seconds; that of a database that was killed takes one
_ROOM: Final = 1024 * 1024  # less, and the first push fails half-way


def check_files(config: Config) -> None:
    """Raise SetupError unless `prepare` has made its files; for those who cannot ask the database yet."""
    wanted = [
        config.secret_dir / "django_key",
        config.secretkey_path / "secretkey",
        config.data_volume / "static" / ".stamp",
    ]
    if not all(path.exists() for path in wanted):
        raise SetupError(_prepare_first(config))
    try:
        ensure_keys(config.secret_dir, make=False)
    except KeysRefused as error:
        raise SetupError(str(error)) from None


def check_prepared(config: Config, *, patience: float = _RESTART) -> None:
    """Raise SetupError unless `prepare` of this version has gone through.

    A database of this installation's own has `patience` seconds to come up: the server waits longer for it than a
    command does, beside which nobody may be about to start it.
    """
    check_files(config)
    if config.database.own:
        mariadb.wait(config, patience)
    database.refuse_newer()
    if database.state() is not database.State.CURRENT or not User.objects.filter(pk=ADMIN_ID).exists():
        raise SetupError(_prepare_first(config))


def _prepare_first(config: Config) -> str:
    return gettext("{data_volume} is not prepared for this version. Run 'manage.py prepare'.").format(
        data_volume=config.data_volume
    )


def check_storage(config: Config) -> None:
    """Raise SetupError unless files can be written below the data volume, and there is room for some."""
    where = f"{config.place('data_volume')}: data_volume: {config.data_volume}"
    try:
        with tempfile.TemporaryFile(dir=config.data_volume) as probe:
            os.posix_fallocate(probe.fileno(), 0, _ROOM)
    except OSError as error:
        remedy = {
            errno.ENOSPC: gettext("Make room on that disk."),
            errno.EDQUOT: gettext("Raise this user's quota of that disk, or make room."),
            errno.EROFS: gettext("Mount that disk for writing."),
            errno.ENOENT: gettext("Mount its disk. If it was never there: Run 'manage.py prepare'."),
        }.get(error.errno or 0, gettext("The user that runs Harborsite must be able to write there."))
        raise SetupError(
            gettext("{where} cannot be written to: {reason}. {remedy}").format(
                where=where, reason=os.strerror(error.errno or 0), remedy=remedy
            )
        ) from None


def check_shared_memory() -> None:
    """Raise SetupError where processes cannot share locks: some containers come without."""
    try:
        multiprocessing.Lock()
    except OSError as error:
        raise SetupError(
            gettext(
                "processes cannot share locks: {reason}. Mount a tmpfs on /dev/shm that everybody "
                "may write to (mode 1777)."
            ).format(reason=os.strerror(error.errno or 0))
        ) from None


def check_ports(config: Config) -> None:
    """Raise SetupError unless the addresses can be listened on."""
    for key, port in config.ports.items():
        _check_port(config, key, port)


def _check_port(config: Config, key: str, port: int) -> None:
    where = f"{config.bind.strip('[]') or '*'}:{port}"
    try:
        addresses = socket.getaddrinfo(
            config.bind.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in addresses:
            if family == socket.AF_INET6 and not config.bind and not has_ipv6():
                continue
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        remedy = {
            errno.EADDRINUSE: gettext("Another program listens there: stop it, or change {key}.").format(key=key),
            errno.EACCES: gettext("Ports below 1024 are for root: run as root, or change {key}.").format(key=key),
            errno.EAFNOSUPPORT: gettext("This machine has no addresses of that kind: change bind."),
        }.get(error.errno or 0, gettext("Change bind to an address of this machine, or leave it empty for all."))
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SetupError(
            gettext("{where}: {key}: cannot listen on {where2}: {reason}. {remedy}").format(
                where=config.place(key), key=key, where2=where, reason=reason, remedy=remedy
            )
        ) from None
