"""Writing a blob to a registry: mounted if possible, in one piece or in chunks, and resumed where it broke off."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from harborsite.outbound import Reader, Response
from registry.oci.manifest import Descriptor
from replication.adapters.base import RESUMABLE_BYTES, Content
from replication.errors import RemoteError

if TYPE_CHECKING:
    from replication.adapters.distribution import Distribution

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")
_OCTETS = {"Content-Type": "application/octet-stream"}


def push(
    registry: Distribution, repository: str, blob: Descriptor, content: Content, uploads: MutableMapping[str, str]
) -> int:
    """Make the blob be there and return how many bytes that took.

    Two requests for a small blob: the one that starts an upload is also the try to mount, and the bytes go with
    the one that finishes it.
    """
    key = str(blob.digest)
    location, offset = _resume(registry, repository, uploads.get(key, ""), blob.size)
    if not location:
        location = _start(registry, repository, blob)
        if not location:
            return 0
    if blob.size < RESUMABLE_BYTES and not offset:
        with content(0) as stream:
            _finish(registry, repository, location, blob, stream, blob.size)
        return blob.size
    sent = blob.size - offset
    uploads[key] = location
    try:
        while offset < blob.size:
            location, offset = _send(registry, repository, location, blob, content, offset)
            uploads[key] = location
        _finish(registry, repository, location, blob, b"", 0)
    except RemoteError as error:
        if not error.is_temporary:
            uploads.pop(key, None)  # what the registry has of it is of no use
        raise
    uploads.pop(key, None)
    return sent


def _start(registry: Distribution, repository: str, blob: Descriptor) -> str:
    """Where to send the bytes; empty if the blob was mounted."""
    url = f"/v2/{repository}/blobs/uploads/"
    source = registry.mount_source(blob.digest)
    if source is not None:
        mount = f"{url}?mount={blob.digest}" + (f"&from={source}" if source else "")
        accept = (201, 202, 400, 401, 403, 404, 405, 500)  # a refused mount is no failure
        with _request(registry, "POST", mount, repository, accept) as answer:
            if answer.status == 201:
                return ""
            if answer.status == 202:
                return _location(answer)
    with _request(registry, "POST", url, repository, (202,)) as answer:
        return _location(answer)


def _resume(registry: Distribution, repository: str, location: str, size: int) -> tuple[str, int]:
    """The upload that an earlier try began and how far it came; none if the registry has forgotten it."""
    if not location:
        return "", 0
    try:
        with _request(registry, "GET", location, repository, (204,)) as answer:
            came = _RANGE.fullmatch(answer.headers.get("Range", ""))
            # "0-0" is what both no byte and one byte look like.
            offset = int(came[1]) + 1 if came and came[1] != "0" else 0
            if offset <= size:
                return _location(answer) if "Location" in answer.headers else location, offset
    except RemoteError as error:
        if error.is_temporary:
            raise
    return "", 0


def _send(
    registry: Distribution, repository: str, location: str, blob: Descriptor, content: Content, offset: int
) -> tuple[str, int]:
    """One chunk, or all that is left; returns where to go on and from which offset."""
    count = blob.size - offset
    if registry.chunk_bytes:
        count = min(count, registry.chunk_bytes)
    headers = dict(_OCTETS)
    if offset or registry.chunk_bytes:
        headers["Content-Range"] = f"{offset}-{offset + count - 1}"
    with content(offset) as stream:
        body: Reader = _Part(stream, count) if offset + count < blob.size else stream
        with registry.session.registry(
            "PATCH",
            location,
            scopes=registry.push_scopes(repository),
            accept=(202,),
            headers=headers,
            body=body,
            length=count,
        ) as answer:
            return _location(answer), offset + count


def _finish(
    registry: Distribution, repository: str, location: str, blob: Descriptor, body: Reader | bytes, length: int
) -> None:
    separator = "&" if urlsplit(location).query else "?"
    registry.session.registry(
        "PUT",
        f"{location}{separator}digest={blob.digest}",
        scopes=registry.push_scopes(repository),
        accept=(200, 201, 204),
        headers=_OCTETS if length else {},
        body=body,
        length=length,
    ).close()


def _request(registry: Distribution, method: str, url: str, repository: str, accept: tuple[int, ...]) -> Response:
    return registry.session.registry(method, url, scopes=registry.push_scopes(repository), accept=accept)


def _location(answer: Response) -> str:
    place = answer.headers.get("Location")
    if not place:
        raise RemoteError.of("POST", answer.url, answer.status, "no Location")
    return urljoin(answer.url, place)


class _Part:
    """The next `count` bytes of a stream."""

    def __init__(self, stream: Reader, count: int) -> None:
        self._stream = stream
        self._left = count

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._stream.read(wanted) or b"" if wanted else b""
        self._left -= len(piece)
        return piece
