"""Content digests: the only names that bytes have."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

from registry.oci.text import excerpt


class Hasher(Protocol):
    """The part of a hashlib object that streaming needs."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


SHA256: Final = "sha256"
SHA512: Final = "sha512"
HASHERS: Final[dict[str, Callable[[], Hasher]]] = {SHA256: hashlib.sha256, SHA512: hashlib.sha512}
_HEX_LENGTHS: Final = {SHA256: 64, SHA512: 128}
_LOWER_HEX: Final = re.compile(r"[0-9a-f]+")


class DigestError(ValueError):
    """The text is no digest, or one of an algorithm that the registry does not keep."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A checked digest: holding one means that it is safe in a path, a URL and a query."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = _HEX_LENGTHS.get(self.algorithm)
        if length is None:
            raise DigestError(f"unsupported digest algorithm {excerpt(self.algorithm)}")
        if len(self.hex) != length or not _LOWER_HEX.fullmatch(self.hex):
            raise DigestError(f"{self.algorithm} digests have {length} lower-case hexadecimal digits")

    @classmethod
    def parse(cls, text: str) -> Self:
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise DigestError(f"invalid digest {excerpt(text)}")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = SHA256) -> Self:
        hasher = new_hasher(algorithm)
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hasher(algorithm: str) -> Hasher:
    try:
        return HASHERS[algorithm]()
    except KeyError:
        raise DigestError(f"unsupported digest algorithm {excerpt(algorithm)}") from None
