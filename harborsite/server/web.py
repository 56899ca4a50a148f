"""gunicorn's worker, configured for Harborsite: what `serve` runs in each web process.

gunicorn's arbiter is not used: the supervisor that guards everything else guards the web processes as well, which is
one process less.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger as GunicornLogger

from harborsite.config import Config
from harborsite.server import tls
from harborsite.server.supervisor import Child
from harborsite.server.worker import BOARD, Worker

GRACE: Final = 6  # seconds for requests that run when the server is told to stop
SILENCE: Final = 60.0  # seconds after which a process whose event loop does not turn is killed
PAUSE: Final = 1.0  # at most, before a process that died is started again
DEFAULT_WORKERS: Final = 2
DEFAULT_THREADS: Final = 16

WSGIApp = Callable[..., Any]
logger = logging.getLogger("harborsite.server")


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's messages through the product's logging; one plain line per request, if wanted, straight to stdout."""

    def setup(self, cfg: Any) -> None:
        self.loglevel = logging.INFO
        self.error_log = logger
        self.access_lines = cfg.accesslog is not None

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Path without query: a query may hold what must not be kept."""
        if self.access_lines:
            address, milliseconds = environ.get("REMOTE_ADDR", "-"), request_time / timedelta(milliseconds=1)
            status = str(resp.status or 0)[:3]
            line = f"access {address} {req.method} {req.path} {status} {resp.sent} {milliseconds:.1f}ms\n"
            os.write(1, line.encode("latin-1", "replace"))


class Observer(Protocol):
    """Who counts requests."""

    def began(self) -> None: ...

    def answered(self, environ: Mapping[str, Any], status: str, seconds: float) -> None: ...

    def process_died(self, pid: int) -> None: ...


class Web(BaseApplication):  # type: ignore[misc]
    """gunicorn for an application that is loaded and sockets that listen already."""

    def __init__(
        self,
        *,
        config: Config,
        application: WSGIApp,
        listeners: Sequence[socket.socket],
        access_log: bool = False,
        on_start: Callable[[], None] = lambda: None,
        on_exit: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        """`on_start` and `on_exit` run in each process; `observer` is told of every request."""
        self._config, self._application, self._listeners = config, application, listeners
        self._access_log, self._on_start, self._on_exit = access_log, on_start, on_exit
        self.observer = observer
        super().__init__()
        self.children: Sequence[Child] = [
            Child("web", partial(self._serve, slot), on_end=partial(self._ended, slot), longest_pause=PAUSE)
            for slot in range(self.cfg.workers)
        ]

    def load_config(self) -> None:
        config = self._config
        settings: dict[str, Any] = {
            "workers": config.workers or DEFAULT_WORKERS,
            "threads": config.threads or DEFAULT_THREADS,
            "accesslog": "-" if self._access_log else None,
            "keepalive": 75,
            "graceful_timeout": GRACE,
            "worker_connections": 4000,
            "limit_request_line": 8190,
            "limit_request_field_size": 16380,
            "post_worker_init": lambda worker: self._on_start(),
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108 - a heartbeat
        }
        if config.ssl_cert and config.ssl_cert_key and config.is_https and not config.with_proxy:
            context = tls.server_context(config.ssl_cert, config.ssl_cert_key)
            settings |= {
                "certfile": str(config.ssl_cert),
                "keyfile": str(config.ssl_cert_key),
                "ssl_context": lambda conf, default: context,  # gunicorn asks for each connection
            }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def _serve(self, slot: int) -> None:
        """What a web process does, until SIGTERM."""
        worker = Worker(slot, os.getppid(), list(self._listeners), self, SILENCE / 2, self.cfg, Logger(self.cfg))
        worker.pid = os.getpid()
        try:
            worker.init_process()
        finally:
            self._on_exit()

    def _ended(self, slot: int, pid: int) -> None:
        BOARD.clear(slot)
        if self.observer is not None:
            self.observer.process_died(pid)

    def watch(self) -> None:
        """Kill a process that hangs. To be called every second or so."""
        for slot, child in enumerate(self.children):
            if child.pid and BOARD.silence(slot) > SILENCE:
                logger.critical("process hangs", extra={"role": child.name, "child": child.pid})
                os.kill(child.pid, signal.SIGKILL)

    def load(self) -> WSGIApp:
        return self._application

    @property
    def https_port(self) -> int:
        """Where the worker sends clients that speak http to an https server."""
        return self._config.https_port


def listen(config: Config) -> list[socket.socket]:
    """Sockets on the configured ports, or the one of the proxy; raises OSError where one is taken.

    All addresses means IPv6 as well.
    """
    if path := config.web_socket:
        return [_listen_for_proxy(path)]
    address = config.bind.strip("[]") or ("::" if has_ipv6() else "0.0.0.0")  # noqa: S104 - documented default
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return [
        socket.create_server(
            (address, port), family=family, backlog=1024, dualstack_ipv6=not config.bind and ":" in address
        )
        for port in config.ports.values()
    ]


def _listen_for_proxy(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # a killed server leaves it; that no other is alive was made sure of before
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1024)
    return listener


def has_ipv6() -> bool:
    """Whether a socket for all addresses takes IPv6 here: the kernel may be able to, and the machine not."""
    if not socket.has_dualstack_ipv6():
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
