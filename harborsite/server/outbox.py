"""What of a response the socket has not taken yet: buffers and spans of files, sent without ever waiting."""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import BinaryIO, Final

FILE_STEP: Final = 1 << 20  # of a file at a time, so that one reader does not hold up the others
_BUFFERS: Final = 64  # gathered into one system call


@dataclass(slots=True)
class _Span:
    file: BinaryIO
    offset: int
    left: int


class Outbox:
    """Stands in for the socket that gunicorn's Response writes to; `flush` does the sending."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._parts: deque[memoryview | _Span] = deque()
        self.size = 0  # bytes of memory held

    def sendall(self, data: bytes) -> None:
        if data:
            self._parts.append(memoryview(data))
            self.size += len(data)

    def send(self, data: bytes) -> int:
        """What gunicorn sends ahead of a response: "100 Continue" must not wait for the response."""
        self.sendall(data)
        self.flush()
        return len(data)

    def sendfile(self, file: BinaryIO, offset: int, count: int) -> None:
        self._parts.append(_Span(file, offset, count))

    def flush(self, limit: int | None = None) -> bool:
        """Send what the socket takes, about `limit` bytes of it at most; True when nothing is left."""
        sent = 0
        try:
            while self._parts and (limit is None or sent < limit):
                sent += self._send_tls() if self._tls else self._send()
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        return not self._parts

    def _send(self) -> int:
        head = self._parts[0]
        if isinstance(head, _Span):
            return self._advance(head, os.sendfile(self._sock.fileno(), head.file.fileno(), head.offset, _step(head)))
        buffers: list[memoryview] = []
        for part in self._parts:
            if isinstance(part, _Span) or len(buffers) == _BUFFERS:
                break
            buffers.append(part)
        sent = os.writev(self._sock.fileno(), buffers)
        self._drop(sent)
        return sent

    def _send_tls(self) -> int:
        head = self._parts[0]
        if isinstance(head, _Span):  # encrypting needs the bytes in memory
            data = os.pread(head.file.fileno(), _step(head), head.offset)
            self._advance(head, len(data))
            self._parts.appendleft(memoryview(data))
            self.size += len(data)
        timeout = self._sock.gettimeout()
        self._sock.setblocking(False)
        try:
            sent = self._sock.send(self._parts[0])  # type: ignore[arg-type]
        finally:
            self._sock.settimeout(timeout)
        self._drop(sent)
        return sent

    def _advance(self, span: _Span, count: int) -> int:
        if count == 0:
            raise ConnectionAbortedError("the file ended before its promised length")
        span.offset += count
        span.left -= count
        if span.left == 0:
            self._parts.popleft()
        return count

    def _drop(self, count: int) -> None:
        self.size -= count
        while count:
            head = self._parts[0]
            assert isinstance(head, memoryview)  # noqa: S101 - only buffers were sent
            if count < len(head):
                self._parts[0] = head[count:]
                return
            count -= len(head)
            self._parts.popleft()


def _step(span: _Span) -> int:
    return min(span.left, FILE_STEP)
