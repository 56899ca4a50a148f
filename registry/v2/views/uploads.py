"""Pushing blobs: in one request, in chunks, or by mounting what another repository holds."""

from __future__ import annotations

import re
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.errors import BadRequest
from registry.auth.access import may
from registry.auth.scopes import PULL
from registry.errors import BlobUploadUnknown, ChunkOutOfOrder, RangeInvalid, SizeInvalid
from registry.models import Blob, BlobUpload
from registry.oci.digest import Digest
from registry.services import blobs, uploads
from registry.v2.base import RegistryView, digest_from, empty
from registry.v2.body import announced_length, body

_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?", re.ASCII)


class _PushView(RegistryView):
    """What answers about blobs and uploads have in common."""

    def uploading(self, status: int, upload: BlobUpload, size: int) -> HttpResponse:
        return empty(status, self.upload_headers(upload, size))

    def upload_headers(self, upload: BlobUpload, size: int) -> dict[str, str]:
        return {
            "Location": self.url(f"blobs/uploads/{upload.pk}"),
            "Range": f"0-{max(size - 1, 0)}",
            "Docker-Upload-UUID": str(upload.pk),
        }

    def created(self, digest: Digest) -> HttpResponse:
        headers = {"Location": self.url(f"blobs/{digest}"), "Docker-Content-Digest": str(digest)}
        return empty(201, headers)


class UploadsView(_PushView):
    def mount_from(self, request: Request) -> str:
        return request.query_params.get("from", "") if "mount" in request.query_params else ""

    def post(self, request: Request, name: str) -> HttpResponse:
        query = request.query_params
        if "mount" in query:
            digest = digest_from(query["mount"])
            if self._mount(digest, anonymous="from" not in query):
                return self.created(digest)
        elif "digest" in query and (stream := body(request._request)):
            digest = digest_from(query["digest"])
            uploads.put(
                project=self.project,
                repository_name=self.repository,
                digest=digest,
                stream=stream,
                announced=announced_length(request._request) or 0,
            )
            return self.created(digest)
        upload = uploads.start(project=self.project, repository_name=self.repository, actor=self.who)
        return self.uploading(202, upload, 0)

    def _mount(self, digest: Digest, *, anonymous: bool) -> Blob | None:
        if anonymous:
            return blobs.mount_from_anywhere(
                project=self.project,
                repository_name=self.repository,
                digest=digest,
                may_pull=lambda _, project: may(self.who, PULL, project),
            )
        if not self.admission.source_repository:
            return None
        return blobs.mount(
            project=self.project,
            repository_name=self.repository,
            digest=digest,
            source=self.admission.source_repository,
        )


class UploadView(_PushView):
    """One upload, for the person who started it."""

    _upload: BlobUpload | None = None

    def get(self, request: Request, name: str, upload_id: str) -> HttpResponse:
        upload = self._find(upload_id)
        return self.uploading(204, upload, uploads.received(upload=upload))

    def patch(self, request: Request, name: str, upload_id: str) -> HttpResponse:
        upload = self._find(upload_id)
        start = _chunk_start(request)
        stream = body(request._request)
        if stream is None:
            return self.uploading(202, upload, uploads.received(upload=upload))
        return self.uploading(202, upload, uploads.append(upload=upload, stream=stream, start=start))

    def put(self, request: Request, name: str, upload_id: str) -> HttpResponse:
        if "digest" not in request.query_params:
            raise BadRequest("require digest")
        upload = self._find(upload_id)
        digest = digest_from(request.query_params["digest"])
        start = _chunk_start(request)
        uploads.finish(
            upload=upload,
            digest=digest,
            stream=body(request._request),
            start=start,
            project=self.project,
            announced=announced_length(request._request),
        )
        return self.created(digest)

    def delete(self, request: Request, name: str, upload_id: str) -> HttpResponse:
        uploads.cancel(upload=self._find(upload_id))
        return empty(204, {})

    def handle_exception(self, exc: Exception) -> Response:
        """A chunk out of order is told where to go on."""
        if isinstance(exc, ChunkOutOfOrder) and self._upload is not None:
            exc.headers |= self.upload_headers(self._upload, exc.size)
        return super().handle_exception(exc)

    def _find(self, upload_id: str) -> BlobUpload:
        try:
            key = UUID(upload_id)
        except ValueError:
            raise BlobUploadUnknown(detail={}) from None
        self._upload = uploads.get(upload_id=key, repository_name=self.repository, actor=self.who)
        return self._upload


def _chunk_start(request: Request) -> int | None:
    """Where the chunk starts, None if the client does not say; its announced length must fit."""
    text = request.META.get("HTTP_CONTENT_RANGE", "")
    if not text:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise RangeInvalid(detail={"Content-Range": text[:200]})
    start, end = int(match[1]), int(match[2])
    length = announced_length(request._request)
    if length is not None and length != end - start + 1:
        raise SizeInvalid(detail={"Content-Range": text[:200], "Content-Length": length})
    return start
