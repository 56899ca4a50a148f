"""Reading a stream of any length in large steps and little memory."""

from collections.abc import Iterator
from itertools import cycle
from typing import BinaryIO, Final, Protocol, cast

STEP: Final = 1024 * 1024
_FIRST_STEP: Final = 64 * 1024  # most blobs are small, and clearing two large buffers takes longer than one fsync


class _ReadsInto(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def steps(stream: BinaryIO) -> Iterator[bytes | memoryview]:
    """The stream in pieces of up to STEP bytes.

    A piece stays valid while the next one is read, and no longer: two buffers take turns, so that a piece can
    be hashed in another thread meanwhile. When the stream breaks, what had arrived comes first, then its error.
    """
    if not hasattr(stream, "readinto"):
        while piece := stream.read(STEP):
            yield piece
        return
    source = cast(_ReadsInto, stream)
    for view in _buffers():
        filled, broken = _fill(source, view)
        if filled:
            yield view[:filled]
        if broken is not None:
            raise broken
        if filled < len(view):
            return


def _buffers() -> Iterator[memoryview]:
    yield memoryview(bytearray(_FIRST_STEP))
    yield from cycle((memoryview(bytearray(STEP)), memoryview(bytearray(STEP))))


def _fill(source: _ReadsInto, view: memoryview) -> tuple[int, Exception | None]:
    filled = 0
    try:
        while filled < len(view) and (received := source.readinto(view[filled:])):
            filled += received
    except Exception as error:  # whatever a server raises when its client is gone
        return filled, error
    return filled, None
