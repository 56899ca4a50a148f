"""Small pictures for kinds of artifacts, drawn here: a coloured tile with a letter; named by their digest."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Final

_SIZE: Final = 50
_CORNER: Final = 10
_CELL: Final = 5  # pixels of one dot of a letter
_LETTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "I": ("###", ".#.", ".#.", ".#.", "###"),
    "H": ("#.#", "#.#", "###", "#.#", "#.#"),
    "B": ("##.", "#.#", "##.", "#.#", "##."),
    "W": ("#.#", "#.#", "#.#", "###", "#.#"),
    "S": ("###", "#..", "###", "..#", "###"),
    "M": ("#.#", "###", "###", "#.#", "#.#"),
    "A": (".#.", "#.#", "###", "#.#", "#.#"),
    "K": ("#.#", "##.", "#..", "##.", "#.#"),
    "N": ("##.", "#.#", "#.#", "#.#", "#.#"),
    "Y": ("#.#", "#.#", ".#.", ".#.", ".#."),
}
_OF_TYPE: Final = {
    "IMAGE": ("I", (0x1D, 0x6F, 0xA5)),
    "CHART": ("H", (0x0F, 0x3D, 0x7A)),
    "CNAB": ("B", (0x7A, 0x4F, 0x9A)),
    "WASM": ("W", (0x65, 0x4F, 0xF0)),
    "SBOM": ("S", (0x2E, 0x7D, 0x5B)),
    "CNAI": ("M", (0xA6, 0x5A, 0x1E)),
}
_OTHER_TYPE: Final = ("A", (0x5A, 0x64, 0x6E))
_OF_ACCESSORY: Final = {
    "signature.cosign": ("K", (0xB5, 0x83, 0x0B)),
    "signature.notation": ("N", (0xB5, 0x83, 0x0B)),
    "accelerator.nydus": ("Y", (0x1A, 0x80, 0x80)),
    "sbom.harbor": ("S", (0x2E, 0x7D, 0x5B)),
}
Tile = tuple[str, tuple[int, int, int]]


def of_type(kind: str) -> str:
    """The digest of the icon of a kind of artifact."""
    return _digest(_OF_TYPE.get(kind, _OTHER_TYPE))


def of_accessory(kind: str) -> str:
    """The digest of the icon of a kind of accessory; empty for the kind without name."""
    tile = _OF_ACCESSORY.get(kind)
    return _digest(tile) if tile else ""


def picture(digest: str) -> bytes | None:
    """The PNG behind a digest."""
    return _pictures().get(digest)


@cache
def _pictures() -> Mapping[str, bytes]:
    tiles = [*_OF_TYPE.values(), _OTHER_TYPE, *_OF_ACCESSORY.values()]
    return {_digest(tile): _png(tile) for tile in tiles}


@cache
def _digest(tile: Tile) -> str:
    return f"sha256:{hashlib.sha256(_png(tile)).hexdigest()}"


@cache
def _png(tile: Tile) -> bytes:
    rows = b"".join(b"\0" + b"".join(_pixel(tile, x, y) for x in range(_SIZE)) for y in range(_SIZE))
    header = struct.pack(">IIBBBBB", _SIZE, _SIZE, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixel(tile: Tile, x: int, y: int) -> bytes:
    letter, colour = tile
    dx, dy = max(_CORNER - x, x - (_SIZE - 1 - _CORNER), 0), max(_CORNER - y, y - (_SIZE - 1 - _CORNER), 0)
    if dx * dx + dy * dy > _CORNER * _CORNER:
        return b"\0\0\0\0"
    dots = _LETTERS[letter]
    left, top = (_SIZE - len(dots[0]) * _CELL) // 2, (_SIZE - len(dots) * _CELL) // 2
    column, row = (x - left) // _CELL, (y - top) // _CELL
    inside = 0 <= row < len(dots) and 0 <= column < len(dots[0])
    return b"\xff\xff\xff\xff" if inside and dots[row][column] == "#" else bytes((*colour, 255))
