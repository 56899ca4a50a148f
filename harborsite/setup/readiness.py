"""Whether the server may start: each reason not to is one line that says what to do."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import ssl

from harborsite.config import Config
from harborsite.setup import SetupError, database
from projects.models import User
from projects.models.user import ADMIN_ID
from registry.auth.keys import KeysRefused, ensure_keys


def check_prepared(config: Config) -> None:
    """Raise SetupError unless `prepare` of this version has gone through."""
    prepare_first = f"{config.data_volume} is not prepared for this version. Run 'manage.py prepare'."
    wanted = [
        config.secret_dir / "django_key",
        config.secretkey_path / "secretkey",
        config.data_volume / "static" / ".stamp",
    ]
    if not all(path.exists() for path in wanted):
        raise SetupError(prepare_first)
    try:
        ensure_keys(config.secret_dir, make=False)
    except KeysRefused as error:
        raise SetupError(str(error)) from None
    database.refuse_newer()
    if database.state() is not database.State.CURRENT or not User.objects.filter(pk=ADMIN_ID).exists():
        raise SetupError(prepare_first)


def check_certificate(config: Config) -> None:
    """Raise SetupError unless https can be spoken with what harbor.cfg names."""
    if config.ui_url_protocol != "https":
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(config.ssl_cert), str(config.ssl_cert_key))
    except OSError as error:  # ssl.SSLError as well
        reason = error.strerror or "they do not fit together"
        raise SetupError(
            f"{config.source}: ssl_cert, ssl_cert_key: {config.ssl_cert} and {config.ssl_cert_key} cannot be used: "
            f"{reason}. They must be a PEM certificate and its private key without a password."
        ) from None


def check_shared_memory() -> None:
    """Raise SetupError where processes cannot share locks: some containers come without."""
    try:
        multiprocessing.Lock()
    except OSError as error:
        raise SetupError(
            f"processes cannot share locks: {os.strerror(error.errno or 0)}. Mount a tmpfs on /dev/shm that everybody "
            "may write to (mode 1777)."
        ) from None


def check_port(config: Config) -> None:
    """Raise SetupError unless the address can be listened on."""
    key = f"{config.ui_url_protocol}_port"
    where = f"{config.bind.strip('[]') or '*'}:{config.port}"
    try:
        addresses = socket.getaddrinfo(
            config.bind.strip("[]") or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in addresses:
            if family == socket.AF_INET6 and not config.bind and not _has_ipv6():
                continue
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        remedy = {
            errno.EADDRINUSE: f"Another program listens there: stop it, or change {key}.",
            errno.EACCES: f"Ports below 1024 are for root: run as root, or change {key}.",
            errno.EAFNOSUPPORT: "This machine has no addresses of that kind: change bind.",
        }.get(error.errno or 0, "Change bind to an address of this machine, or leave it empty for all.")
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SetupError(f"{config.source}: cannot listen on {where}: {reason}. {remedy}") from None


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
