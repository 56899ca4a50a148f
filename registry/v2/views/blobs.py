"""Blobs: whole or in part, as real files wherever the store has them, so that the server may use sendfile."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import BinaryIO

from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from registry.errors import BlobUnknown, RangeInvalid
from registry.oci.digest import Digest
from registry.services import blobs
from registry.storage import BlobMissingError, store
from registry.v2 import accel
from registry.v2.base import RegistryView, digest_from, empty, not_modified

logger = logging.getLogger("registry.blobs")

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_STEP = 256 * 1024


class BlobFile(FileResponse):
    """A file to be sent with the headers that it was given, and no guessed ones."""

    block_size = _STEP

    def set_headers(self, filelike: object) -> None:
        pass


class BlobView(RegistryView):
    def get(self, request: Request, name: str, digest: str) -> HttpResponseBase:
        wanted = digest_from(digest)
        held = blobs.find(repository_name=self.repository, digest=wanted)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": str(wanted),
            "ETag": f'"{wanted}"',
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            if self.may_push():
                blobs.keep(held=held)
            return empty(200, headers | {"Content-Length": str(held.size)})
        if not_modified(request, headers["ETag"]):
            return empty(304, headers)
        if url := store().url(wanted):
            redirect = HttpResponseRedirect(url)
            redirect.status_code = 307
            return redirect
        whole = request.META.get("HTTP_IF_RANGE", headers["ETag"]) != headers["ETag"]
        return _send(wanted, held.size, "" if whole else request.META.get("HTTP_RANGE", ""), headers)

    def delete(self, request: Request, name: str, digest: str) -> HttpResponse:
        blobs.unlink(project=self.project, repository_name=self.repository, digest=digest_from(digest))
        return empty(202, {})


def _send(digest: Digest, size: int, wanted: str, headers: dict[str, str]) -> HttpResponseBase:
    part = _part(wanted, size)
    start, end = part or (0, size - 1)
    if there := accel.place(digest, size):
        return empty(200, headers | {accel.HEADER: there})  # the proxy cuts the part out by itself
    try:
        file = store().open(digest, start)
    except BlobMissingError:
        logger.exception("blob has a row but no bytes", extra={"digest": str(digest)})
        raise BlobUnknown(detail=str(digest)) from None
    headers["Content-Length"] = str(end - start + 1)
    if part is None:
        return BlobFile(file, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    if end == size - 1:
        return BlobFile(file, status=206, headers=headers)
    return StreamingHttpResponse(_steps(file, end - start + 1), status=206, headers=headers)


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for the whole (also where several ranges are asked for)."""
    match = _RANGE.fullmatch(wanted.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(0, size - int(last)), size - 1
    if start > end:
        raise RangeInvalid(headers={"Content-Range": f"bytes */{size}"})
    return start, end


def _steps(file: BinaryIO, left: int) -> Iterator[bytes]:
    with file:
        while left > 0 and (piece := file.read(min(_STEP, left))):
            left -= len(piece)
            yield piece
