"""Blobs that the proxy in front sends itself, when the application has said that they may be."""

from __future__ import annotations

from typing import Final

from harborsite.config import current
from registry.oci.digest import Digest
from registry.storage import store
from registry.storage.paths import blob_key

HEADER: Final = "X-Accel-Redirect"
PREFIX: Final = "/.blobs/"  # the proxy's name for the store; nobody can ask it for that
SMALL: Final = 64 * 1024  # up to here an answer is cheaper than two


def place(digest: Digest, size: int) -> str | None:
    """What to put into HEADER, or None where the application sends the bytes.

    Only where our own proxy is in front: another one would hand the header to the client.
    """
    if not current().with_proxy or size <= SMALL:
        return None
    file = store().path(digest)
    return PREFIX + blob_key(digest) if file is not None and file.is_file() else None
