"""Records as syslog messages (RFC 5424), sent as datagrams (RFC 5426) or over TCP with octet counting (RFC 6587)."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Sequence
from datetime import UTC
from typing import Final, Protocol
from urllib.parse import urlsplit

from audit.describe import description
from audit.models import AuditLog
from harborsite.config import current
from harborsite.outbound import addresses

_PRIORITY: Final = 13 * 8 + 6  # facility "log audit", severity "informational"
_LONGEST: Final = 8000  # bytes; rsyslog cuts at 8 KiB unless told otherwise
_PATIENCE: Final = 5.0  # seconds for connecting, and for the other side to take what was sent
_SETTLE: Final = 0.2  # seconds in which a collector that is going down would say so


def message(row: AuditLog) -> str:
    """One message; its text is what Harbor forwards, so that filters written for that go on working."""
    when = f"{row.op_time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    head = f"<{_PRIORITY}>1 {when} {current().hostname} harborsite - {row.operation}_{row.resource_type} -"
    result = "success" if row.successful else "failure"
    fields = {"operator": row.username, "resourceType": row.resource_type, "result": result, "time": when}
    listed = " ".join(f'{name}="{_quoted(value)}"' for name, value in fields.items())
    said = {"action": row.operation, "resource": row.resource, "operation_description": description(row)}
    text = ", ".join(f"{name}:{_printable(value)}" for name, value in said.items())
    return f"{head} [{listed}]: {text}"


def _printable(text: str) -> str:
    """On one line: nobody forges a record by a name with a line break in it."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _quoted(text: str) -> str:
    return _printable(text.replace("\\", "\\\\").replace('"', '\\"'))


class Sender(Protocol):
    """A way to a collector; raises OSError where it cannot be gone."""

    def send(self, messages: Sequence[str]) -> None:
        """Return when the other side has taken them all, as far as can be known."""
        ...

    def close(self) -> None: ...


def connect(destination: str, *, checked: bool = True) -> Sender:
    """A way to `udp://host:port` or `tcp://host:port`; raises also an OutboundError.

    Where it is `checked` the server must be allowed to call the address, and that very address is connected to.
    """
    place = urlsplit(destination)
    host, port = place.hostname or "", place.port or 514
    if checked:
        host = str(addresses.resolve(host, port)[0].sockaddr[0])
    return Tcp(host, port) if place.scheme == "tcp" else Udp(host, port)


def _encoded(text: str) -> bytes:
    return text.encode()[:_LONGEST].decode(errors="ignore").encode()


class Udp:
    """Nobody acknowledges a datagram; a collector that is not there is noticed if its host says so."""

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.connect(address)

    def send(self, messages: Sequence[str]) -> None:
        for text in messages:
            self._socket.send(_encoded(text))
        time.sleep(_SETTLE)
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, "refused by the collector's host")

    def close(self) -> None:
        self._socket.close()


class Tcp:
    """Syslog over TCP has no acknowledgement but TCP's own: that is waited for."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=_PATIENCE)

    def send(self, messages: Sequence[str]) -> None:
        self._require_open()
        frames = (_encoded(text) for text in messages)
        self._socket.sendall(b"".join(b"%d %s" % (len(frame), frame) for frame in frames))
        deadline = time.monotonic() + _PATIENCE
        while self._unacknowledged():
            if time.monotonic() > deadline:
                raise TimeoutError("the collector takes nothing more")
            time.sleep(0.005)
        time.sleep(_SETTLE)
        self._require_open()

    def _unacknowledged(self) -> int:
        raw = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", raw)[0])

    def _require_open(self) -> None:
        """A collector says nothing; what can be read is the end."""
        self._socket.setblocking(False)
        try:
            if not self._socket.recv(1024):
                raise ConnectionResetError("the collector has closed the connection")
        except BlockingIOError:
            return
        finally:
            self._socket.settimeout(_PATIENCE)

    def close(self) -> None:
        self._socket.close()
