"""The request body as a stream, chunked or not, that ends where the client said it would, or raises."""

from __future__ import annotations

import io
from typing import BinaryIO, Protocol, cast

from django.http import HttpRequest

from registry.errors import BlobUploadInvalid, SizeInvalid


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Body(io.RawIOBase):
    """Reads the server's stream itself: Django's would take a chunked body for an empty one.

    `length` is what the client announced, None if it did not; a body that ends early or goes on is an error.
    """

    def __init__(self, source: _Source, length: int | None) -> None:
        self._source = source
        self._left = length
        self._fill = getattr(source, "readinto", None)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        if wanted == 0:
            return 0
        got = self._receive(memoryview(buffer)[:wanted])
        if self._left is not None:
            if got == 0:
                raise SizeInvalid("the request body ended early")
            self._left -= got
        return got

    def _receive(self, view: memoryview) -> int:
        try:
            if self._fill is not None:
                return int(self._fill(view) or 0)
            data = self._source.read(len(view))
        except Exception as error:  # each server has its own for a client that is gone
            raise BlobUploadInvalid("the request body broke off") from error
        view[: len(data)] = data
        return len(data)


def is_chunked(request: HttpRequest) -> bool:
    return "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()


def announced_length(request: HttpRequest) -> int | None:
    """What Content-Length says; None for a chunked body."""
    if is_chunked(request):
        return None
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else 0


def body(request: HttpRequest) -> BinaryIO | None:
    """The body's stream, None if there is no body."""
    length = announced_length(request)
    if length == 0:
        return None
    return cast(BinaryIO, Body(request.META["wsgi.input"], length))


def read_all(request: HttpRequest, limit: int) -> bytes | None:
    """A small body in memory, None if it is larger than `limit`; no more than that is read."""
    length = announced_length(request)
    if length is not None and length > limit:
        return None
    stream = body(request)
    if stream is None:
        return b""
    pieces, size = [], 0
    while size <= limit and (piece := stream.read(min(65536, limit + 1 - size))):
        pieces.append(piece)
        size += len(piece)
    return None if size > limit else b"".join(pieces)
