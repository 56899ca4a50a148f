"""Log lines: plain or JSON, one for each record, with the request's id, to the log collector where there is one."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEFT_OUT: Final = frozenset({"request", "status_code"})  # Django's, and no text
_SECRET: Final = re.compile(r"passw|pwd|secret|token|authorization|cookie|credential|private|api_?key", re.IGNORECASE)
# In messages and in what exceptions say: credentials of headers, of URLs, and JSON web tokens.
_SECRET_TEXT: Final = re.compile(
    r"(?P<scheme>\b(?:basic|bearer|harbor-secret)\s+)[\w.~+/=-]{8,}|(?P<user>://[^/\s:@]*:)[^/\s@]+(?=@)|\beyJ[\w-]{8,}\.[\w.-]+",
    re.IGNORECASE,
)
_HIDDEN: Final = "***"
_LARGEST: Final = 60_000  # bytes; what a datagram and the collector take

request_id: ContextVar[str] = ContextVar("request_id", default="")
_role = "server"


def be(role: str) -> None:
    """Name what this process does: the sender of its lines, and so the file they are collected in."""
    global _role
    _role = role


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What came by `extra={...}`, and the id of the request; secrets hidden."""
    extras = {
        key: _HIDDEN if _SECRET.search(key) else value
        for key, value in vars(record).items()
        if key not in _STANDARD and key not in _LEFT_OUT
    }
    if current := request_id.get():
        extras.setdefault("request_id", current)
    return extras


def without_secrets(text: str) -> str:
    """`text` with what looks like a credential hidden."""
    return _SECRET_TEXT.sub(lambda found: (found["scheme"] or found["user"] or "") + _HIDDEN, text)


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(logging.Formatter):
    """Time, level, logger, a fixed message, then its fields as key=value; odd values are written as JSON strings."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_when(record), record.levelname, record.name, record.getMessage()]
        parts += [f"{key}={_shown(value)}" for key, value in _fields(record).items()]
        line = " ".join(parts).replace("\r", "\\r").replace("\n", "\\n")  # a value must not forge a line
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return without_secrets(line)


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\r\n') else text


class JsonFormatter(logging.Formatter):
    """One object on one line: time, level, logger, role, message, the fields by their names, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, object] = {
            "time": _when(record),
            "level": record.levelname,
            "logger": record.name,
            "role": _role,
            "message": record.getMessage(),
        }
        for key, value in _fields(record).items():
            content.setdefault(key, value if isinstance(value, int | float | bool | None) else str(value))
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        shown = {key: without_secrets(value) if isinstance(value, str) else value for key, value in content.items()}
        return json.dumps(shown, ensure_ascii=False)


class CollectorHandler(logging.Handler):
    """Sends lines to the log collector's socket; while nobody listens there, to stderr.

    It never waits: a collector that is stuck must not hold up the registry.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        severity = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.DEBUG: 7}.get(record.levelno, 6)
        datagram = f"<{16 * 8 + severity}>{_role}: {line}".encode()[:_LARGEST]  # facility local0
        if not (self._send(datagram) or self._send(datagram)):  # once more by a new socket: it was started again
            sys.stderr.write(line + "\n")

    def _send(self, datagram: bytes) -> bool:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._socket.connect(str(self._path))
            self._socket.send(datagram)
        except BlockingIOError:
            return False
        except OSError:
            self._close()
            return False
        return True

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self._close()
        super().close()


def configuration(*, log_format: str, collector: Path | None) -> dict[str, Any]:
    """Django's LOGGING: to stderr, or to the collector at that socket."""
    handler: dict[str, Any] = {"class": "logging.StreamHandler"}
    if collector is not None:
        handler = {"()": CollectorHandler, "path": str(collector)}
    formatter = {"plain": LineFormatter, "json": JsonFormatter}[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"out": handler | {"formatter": "line"}},
        "root": {"handlers": ["out"], "level": "INFO"},
        "loggers": {
            "django.request": {"level": "ERROR"},  # a client's 4xx is no event of ours
            "django-q": {"level": "WARNING"},
            "django_auth_ldap": {"level": "ERROR"},  # what matters of it is logged by projects.identity
            "axes": {"level": "ERROR"},  # what it would say is said by projects.identity.lockout, with names
        },
    }
