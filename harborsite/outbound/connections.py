"""HTTP connections to checked addresses, kept for the next request to the same origin."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections import defaultdict
from typing import Any

from django.utils.translation import gettext as _

from harborsite.outbound.addresses import resolve
from harborsite.outbound.errors import CertificateRefused, OutboundError, Unreachable
from harborsite.outbound.trust import Origin

CONNECT_SECONDS = 10.0
LEAST_SPEED = 1024  # bytes a second that an answer must bring, once it was waited for as long as the time-out
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})  # OpenSSL's words for it
_KEPT = 16  # idle connections of one origin


class _Watched(io.RawIOBase):
    """What a server sends; drop by drop is no answer. Only the waiting for it counts, not how slowly it is read."""

    def __init__(self, raw: io.RawIOBase, patience: float) -> None:
        self._raw = raw
        self._patience = patience
        self._waited = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        count = self._raw.readinto(buffer) or 0
        self._waited += time.monotonic() - began
        self._received += count
        if count and self._received < (self._waited - self._patience) * LEAST_SPEED:
            raise TimeoutError("too slow")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _WatchedSocket:
    """As much of a socket as an answer is read from."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        raw = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(_Watched(raw, self._sock.gettimeout() or 0))


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(_WatchedSocket(sock), *arguments, **options)  # type: ignore[arg-type]  # no more is asked of it


class Connection(http.client.HTTPConnection):
    """A connection to one of the addresses that were checked for its origin; `fresh` until it was kept once."""

    response_class = _Answer

    def __init__(self, origin: Origin, *, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(origin.host, origin.port, timeout=timeout)
        self.origin = origin
        self.fresh = True
        self._context = context

    def connect(self) -> None:
        raw = self._reach()
        raw.settimeout(self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._secure(raw) if self._context else raw

    def is_dead(self) -> bool:
        """Whether the other side has hung up since the last answer: an idle socket has nothing to read."""
        if self.sock is None:
            return True
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def _reach(self) -> socket.socket:
        reason: OSError | None = None
        for endpoint in resolve(self.origin.host, self.origin.port):
            raw = socket.socket(endpoint.family, socket.SOCK_STREAM)
            raw.settimeout(CONNECT_SECONDS)
            try:
                raw.connect(endpoint.sockaddr)
            except OSError as error:
                reason = error
                raw.close()
            else:
                return raw
        where = self.origin.authority
        said = reason and (reason.strerror or reason)
        raise Unreachable(_("{host} cannot be reached: {reason}").format(host=where, reason=said)) from None

    def _secure(self, raw: socket.socket) -> socket.socket:
        assert self._context is not None  # noqa: S101 - for the type checker
        where = self.origin.authority
        try:
            return self._context.wrap_socket(raw, server_hostname=self.origin.host)
        except ssl.SSLCertVerificationError as error:
            raw.close()
            message = _("the certificate of {host} cannot be trusted: {reason}")
            raise CertificateRefused(message.format(host=where, reason=error.verify_message)) from None
        except (OSError, ValueError) as error:
            raw.close()
            if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
                raise OutboundError(_("{host} does not speak TLS: http instead of https?").format(host=where)) from None
            message = _("no TLS connection to {host}: {reason}")
            raise Unreachable(message.format(host=where, reason=error)) from None


class Pool:
    """The idle connections of one client; safe for threads."""

    def __init__(self, *, verify: bool, ca_certificate: str, timeout: float) -> None:
        self._verify = verify
        # Reading the system's certificates takes longer than most requests, so that is left until they are needed.
        self._context = tls_context(verify=verify, ca_certificate=ca_certificate) if ca_certificate else None
        self._timeout = timeout
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, origin: Origin) -> Connection:
        """An idle connection, or a new one that connects with its first request."""
        while True:
            with self._lock:
                idle = self._idle[origin]
                kept = idle.pop() if idle else None
            if kept is None:
                return self.fresh(origin)
            if not kept.is_dead():
                return kept
            kept.close()

    def fresh(self, origin: Origin) -> Connection:
        context = self._tls() if origin.scheme == "https" else None
        return Connection(origin, context=context, timeout=self._timeout)

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = tls_context(verify=self._verify, ca_certificate="")
            return self._context

    def give_back(self, connection: Connection) -> None:
        connection.fresh = False
        with self._lock:
            idle = self._idle[connection.origin]
            if connection.sock is not None and len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()


def tls_context(*, verify: bool, ca_certificate: str) -> ssl.SSLContext:
    """What TLS is spoken with: the system's certificates, or those given."""
    try:
        context = ssl.create_default_context(cadata=ca_certificate or None)
    except (ssl.SSLError, ValueError):
        raise OutboundError(_("the CA certificate is not a PEM certificate")) from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
