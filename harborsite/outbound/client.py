"""The HTTP client: requests with bodies of any length, answers as streams, redirects only where they are wanted."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, Self
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _

from harborsite.outbound.connections import Connection, Pool
from harborsite.outbound.errors import AnswerTooLarge, OutboundError, TransferBroken, Unreachable
from harborsite.outbound.trust import Origin

USER_AGENT = "Harborsite"
TIMEOUT_SECONDS = 60.0
_STEP = 256 * 1024
_MAX_ANSWER = 32 * 1024 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


class Reader(Protocol):
    """What a body is read from; nothing more is asked of it."""

    def read(self, size: int = -1, /) -> bytes | None: ...


class Response(io.RawIOBase):
    """An answer whose body is still to come; leaving its block gives the connection back, or ends it."""

    def __init__(self, answer: http.client.HTTPResponse, connection: Connection, pool: Pool, url: str) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.url = url
        self._answer = answer
        self._connection = connection
        self._pool = pool

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Some of the body, 0 at its end. A body that ends too early raises TransferBroken."""
        expected = self._answer.length
        try:
            count = self._answer.readinto(buffer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TransferBroken(_("{url} broke off: {reason}").format(url=_shown(self.url), reason=error)) from None
        if count == 0 and len(buffer) and expected:
            raise TransferBroken(_("{url} broke off").format(url=_shown(self.url)))
        return count

    def content(self, limit: int = _MAX_ANSWER) -> bytes:
        """The whole body, if it has at most `limit` bytes."""
        parts, size = [], 0
        while piece := self.read(min(_STEP, limit + 1 - size)):
            parts.append(piece)
            size += len(piece)
            if size > limit:
                raise AnswerTooLarge(_("{url} answers with too much").format(url=_shown(self.url)))
        return b"".join(parts)

    def json(self, limit: int = _MAX_ANSWER) -> Any:
        try:
            return json.loads(self.content(limit))
        except (ValueError, RecursionError):
            raise OutboundError(_("{url} does not answer with JSON").format(url=_shown(self.url))) from None

    def close(self) -> None:
        """Keep the connection if the body was read to its end, or has so little left that reading it is cheaper."""
        if self.closed:
            return
        super().close()
        try:
            left = self._answer.length
            if not self._answer.isclosed() and left is not None and left <= _STEP:
                self._answer.read()
            reusable = self._answer.isclosed() and not self._answer.will_close
        except (OSError, http.client.HTTPException):
            reusable = False
        if reusable:
            self._pool.give_back(self._connection)
        else:
            self._connection.close()


class Client:
    """Requests to one or several servers under the same certificate rules; safe for threads.

    `verify` and `ca_certificate` (PEM, instead of the system's) say which certificates are good.
    """

    def __init__(
        self,
        *,
        verify: bool = True,
        ca_certificate: str = "",
        timeout: float = TIMEOUT_SECONDS,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._pool = Pool(verify=verify, ca_certificate=ca_certificate, timeout=timeout)
        self._user_agent = user_agent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Reader = b"",
        length: int | None = None,
        redirects: int = 0,
    ) -> Response:
        """Send one request; `length` is that of a body that is a stream.

        Up to `redirects` redirects are followed, for requests without a body only: to another origin without the
        credentials, and never from https to http.
        """
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **(headers or {})}
        response = self._send(method, url, sent, body, length)
        while redirects and response.status in _REDIRECTS and (place := response.headers.get("Location")):
            response.close()
            redirects -= 1
            target = urljoin(url, place)
            sent = _headers_for(sent, Origin.of(url), Origin.of(target))
            url = target
            response = self._send(method, url, sent, b"", None)
        return response

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Reader, length: int | None
    ) -> Response:
        origin = Origin.of(url)
        connection = self._pool.take(origin)
        try:
            answer = _exchange(connection, method, url, headers, body, length)
        except _StaleError as stale:
            # A kept connection that the server closed at this very moment.
            if method not in _REPEATABLE or not isinstance(body, bytes):
                raise Unreachable(str(stale)) from None
            connection = self._pool.fresh(origin)
            answer = _exchange(connection, method, url, headers, body, length)
        return Response(answer, connection, self._pool, url)


class _StaleError(Exception):
    """The connection had been kept for too long."""


def _exchange(
    connection: Connection,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | Reader,
    length: int | None,
) -> http.client.HTTPResponse:
    """Send and wait for the status line. A server may answer, and hang up, before it has read the whole body."""
    with _failures(connection, url):
        try:
            _send_head(connection, method, url, headers, len(body) if isinstance(body, bytes) else length)
            for piece in (body,) if isinstance(body, bytes) else _pieces(body):
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer says why, if there is one
        return connection.getresponse()


def _send_head(connection: Connection, method: str, url: str, headers: Mapping[str, str], length: int | None) -> None:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", connection.origin.authority)
    for name, value in headers.items():
        connection.putheader(name, value)
    if length or method in {"POST", "PUT", "PATCH"}:
        connection.putheader("Content-Length", str(length or 0))
    connection.endheaders()


def _pieces(body: Reader) -> Iterator[bytes]:
    while piece := body.read(_STEP):
        yield piece


@contextmanager
def _failures(connection: Connection, url: str) -> Iterator[None]:
    """Turn what can happen on a socket into our errors; the connection is of no more use then."""
    try:
        yield
    except TimeoutError:
        connection.close()
        raise Unreachable(_("{url} does not answer in time").format(url=_shown(url))) from None
    except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
        connection.close()
        message = _("{url} hung up: {reason}").format(url=_shown(url), reason=error)
        raise (Unreachable if connection.fresh else _StaleError)(message) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        raise Unreachable(_("{url} cannot be used: {reason}").format(url=_shown(url), reason=error)) from None
    except BaseException:
        connection.close()
        raise


def _headers_for(headers: Mapping[str, str], before: Origin, after: Origin) -> dict[str, str]:
    """The headers that may follow a redirect."""
    if before.scheme == "https" and after.scheme == "http":
        raise OutboundError(_("a redirect from https to http is not followed"))
    if before == after:
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}


def _shown(url: str) -> str:
    """The address without its query, which may hold a signature."""
    return url.partition("?")[0]
