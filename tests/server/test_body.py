"""Reading request bodies off a socket, however the bytes come in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable

import pytest
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData
from gunicorn.http.unreader import SocketUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from harborsite.server.body import RequestBody, request_body

NEXT = b"GET / HTTP/1.1\r\n\r\n"


class Request:
    """What gunicorn hands on, as far as bodies need it."""

    def __init__(self, sock: socket.socket, early: bytes, length: int | None) -> None:
        self.unreader = SocketUnreader(sock)
        self.unreader.unread(early)
        self.reader = ChunkedReader(self, self.unreader) if length is None else LengthReader(self.unreader, length)
        self.body = self


def received(
    pieces: Iterable[bytes], length: int | None, early: bytes = b"", read: int = 1 << 20
) -> tuple[bytes, bytes]:
    """The body that comes in `pieces` behind what came with the head, and what was received after it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)

        def send() -> None:
            for piece in pieces:
                theirs.sendall(piece)
            theirs.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            request = Request(ours, early, length)
            body = request_body(request, ours, request.unreader)
            assert isinstance(body, RequestBody)
            data = b"".join(iter(lambda: body.read(read), b""))
            rest = body.raw.rest()
            while more := ours.recv(65536):
                rest += more
            return data, rest
        finally:
            ours.close()
            sender.join()


def chunked(chunks: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.integers(1, 400),
)
def test_any_chunks_in_any_pieces_are_the_same_body(chunks: list[bytes], cuts: list[int], read: int) -> None:
    early, *pieces = split(chunked(chunks) + NEXT, cuts)
    assert received(pieces, None, early, read) == (b"".join(chunks), NEXT)


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(0, 10_000), max_size=6), st.integers(1, 400))
def test_a_measured_body_ends_where_it_was_announced(data: bytes, cuts: list[int], read: int) -> None:
    early, *pieces = split(data + NEXT, cuts)
    assert received(pieces, len(data), early, read) == (data, NEXT)


def test_large_chunks_pass_the_window() -> None:
    chunks = [bytes([number]) * (700_000 + number) for number in range(3)]
    assert received([chunked(chunks) + NEXT], None) == (b"".join(chunks), NEXT)


def test_extensions_and_trailers_are_read_over() -> None:
    text = b'3;a=b; c="d\\"e"\r\nabc\r\n0;last\r\nX-Sum: 1\r\nY: 2\r\n\r\n' + NEXT
    assert received([text], None) == (b"abc", NEXT)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", NoMoreData),
        (b"3\r\nab", NoMoreData),
        (b"3\r\nabc\r\n", NoMoreData),
        (b"3\r\nabc\r\n0\r\n", NoMoreData),
        (b"3\r\nabcd\r\n0\r\n\r\n", ChunkMissingTerminator),
        (b"\r\n\r\n", InvalidChunkSize),
        (b"-1\r\n\r\n", InvalidChunkSize),
        (b"+1\r\na\r\n0\r\n\r\n", InvalidChunkSize),
        (b"0x1\r\na\r\n0\r\n\r\n", InvalidChunkSize),
        (b"1_0\r\na\r\n0\r\n\r\n", InvalidChunkSize),
        (b" 1\r\na\r\n0\r\n\r\n", InvalidChunkSize),
        (b"1 \r\na\r\n0\r\n\r\n", InvalidChunkSize),
        (b"1\na\n0\n\n\r\n", InvalidChunkSize),
        (b"1\r;a\r\na\r\n", InvalidChunkSize),
        (b"1;\r\na\r\n0\r\n\r\n", InvalidChunkExtension),
        (b'1;a="\r\na\r\n0\r\n\r\n', InvalidChunkExtension),
        (b"f" * 16 + b"\r\n", InvalidChunkSize),
        (b"1" * 5000, InvalidChunkSize),
        (b"0\r\n" + b"X: y\r\n" * 20_000, InvalidChunkSize),
        (b"0\r\nX: a\rb\r\n\r\n", InvalidChunkSize),
    ],
)
def test_what_is_no_chunked_body_is_an_error(text: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        received([text], None)


def test_a_measured_body_that_ends_early_is_short_and_failed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"ab")
        theirs.shutdown(socket.SHUT_WR)
        request = Request(ours, b"", 3)
        body = request_body(request, ours, request.unreader)
        assert isinstance(body, RequestBody)
        assert body.read() == b"ab"
        assert body.failed


def test_no_body_is_left_to_gunicorn() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request = Request(ours, b"", 0)
        assert request_body(request, ours, request.unreader) is None
