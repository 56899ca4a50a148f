"""Request bodies, received straight into the application's buffer.

gunicorn's own readers copy each byte six times on its way; a registry receives gigabytes. What a chunked body may
look like is as strict as there (RFC 9112, section 7.1), and where one ends is as certain: the bytes after it go back
to the parser.
"""

from __future__ import annotations

import io
import re
import socket
from typing import Any, Final

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData

BUFFER: Final = 64 * 1024  # reads smaller than this go through a buffer
_WINDOW: Final = 256 * 1024  # received at once of a chunked body, whose chunks tend to be small
_LINE_LIMIT: Final = 4096  # for a chunk's size with its extensions
_TRAILER_LIMIT: Final = 64 * 1024
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION: Final = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})((?:" + _EXTENSION + rb")*)")


class _Raw(io.RawIOBase):
    def __init__(self, sock: socket.socket, early: bytes) -> None:
        self._sock = sock
        self._early = memoryview(early)  # came with the head
        self.failed = False

    def readable(self) -> bool:
        return True

    def _receive(self, view: memoryview) -> int:
        if self._early:
            count = min(len(view), len(self._early))
            view[:count] = self._early[:count]
            self._early = self._early[count:]
            return count
        try:
            return self._sock.recv_into(view)
        except OSError:
            self.failed = True
            raise

    def rest(self) -> bytes:
        """What was received of the next request; the body has been read to its end."""
        return bytes(self._early)


class _Measured(_Raw):
    """A body of a length that was announced; it ends early if the client does."""

    def __init__(self, sock: socket.socket, early: bytes, length: int) -> None:
        super().__init__(sock, early)
        self._left = length

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)[: self._left]
        count = self._receive(view) if view else 0
        self._left -= count
        self.failed = self.failed or (count == 0 and self._left > 0)
        return count


class _Chunked(_Raw):
    """A body in chunks; raises where it breaks off or is no such body."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        super().__init__(sock, early)
        self._window = bytearray(_WINDOW)
        self._start = self._end = 0  # what of the window was received and not used
        self._left = 0  # of the current chunk
        self._begun = self._ended = False

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view, filled = memoryview(buffer), 0
        try:
            while filled < len(view) and not self._ended:
                if self._left == 0:
                    self._next_chunk()
                elif self._start < self._end:
                    filled += self._take(view[filled:])
                elif filled:
                    break  # more would mean waiting
                else:
                    self._fill()
        except Exception:
            self.failed = True
            raise
        return filled

    def _take(self, view: memoryview) -> int:
        count = min(len(view), self._left, self._end - self._start)
        view[:count] = memoryview(self._window)[self._start : self._start + count]
        self._start += count
        self._left -= count
        return count

    def _fill(self) -> None:
        """Receive more behind what is there."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start:
            self._window[: self._end - self._start] = self._window[self._start : self._end]
            self._start, self._end = 0, self._end - self._start
        count = self._receive(memoryview(self._window)[self._end :])
        if count == 0:
            raise NoMoreData
        self._end += count

    def _next_chunk(self) -> None:
        if self._begun:
            self._end_chunk()
        self._begun = True
        line = self._line(_LINE_LIMIT)
        size = _SIZE.fullmatch(line)
        if size is None:
            broken = InvalidChunkExtension if re.match(rb"[0-9A-Fa-f]+[ \t]*;", line) else InvalidChunkSize
            raise broken(bytes(line[:100]))
        self._left = int(size[1], 16)
        if self._left == 0:
            self._skip_trailers()
            self._ended = True

    def _end_chunk(self) -> None:
        while self._end - self._start < 2:
            self._fill()
        end = bytes(self._window[self._start : self._start + 2])
        if end != b"\r\n":
            raise ChunkMissingTerminator(end)
        self._start += 2

    def _skip_trailers(self) -> None:
        """Fields after the body mean nothing here; they only have to end."""
        room = _TRAILER_LIMIT
        while line := self._line(room):
            room -= len(line) + 2

    def _line(self, limit: int) -> bytes:
        """The next line, without its CRLF, with which it has at most `limit` bytes."""
        while (at := self._window.find(b"\r\n", self._start, min(self._end, self._start + limit))) < 0:
            if self._end - self._start >= limit:
                raise InvalidChunkSize(b"line too long")
            self._fill()
        line = bytes(self._window[self._start : at])
        if b"\r" in line or b"\n" in line:
            raise InvalidChunkSize(line[:100])
        self._start = at + 2
        return line

    def rest(self) -> bytes:
        return bytes(self._window[self._start : self._end]) + super().rest()


class RequestBody(io.BufferedReader):
    """What the application gets as `wsgi.input`; `failed` says that nobody knows where the next request starts."""

    raw: _Raw

    @property
    def failed(self) -> bool:
        return self.raw.failed

    def finish(self, limit: int) -> bool:
        """Read what the application left; False if that is more than `limit` bytes, or broken."""
        while not self.failed and limit > 0 and (data := self.read(min(limit, BUFFER))):
            limit -= len(data)
        return not self.failed and limit > 0


def request_body(req: Any, sock: socket.socket, unreader: Any) -> RequestBody | None:
    """In place of the body that gunicorn gave `req`; None where there is no body."""
    reader = req.body.reader
    if isinstance(reader, ChunkedReader):
        return RequestBody(_Chunked(sock, unreader.take_buffered()), BUFFER)
    if isinstance(reader, LengthReader) and reader.length:
        return RequestBody(_Measured(sock, unreader.take_buffered(), reader.length), BUFFER)
    return None
