"""What can go wrong on `/v2`: the distribution spec's codes, with Harbor's where its answers are known to differ."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from harborsite.errors import AppError, BadRequest, Conflict, NotFound, PreconditionFailed, TooLarge


class BlobUnknown(AppError):
    code, status, default_message = "BLOB_UNKNOWN", 404, "blob unknown to registry"


class BlobBusy(AppError):
    """Garbage collection is removing these very bytes; pushing them again in a moment works."""

    code, status, default_message = "BLOB_BUSY", 503, "the blob is being deleted, try again"


class BlobUploadUnknown(AppError):
    code, status, default_message = "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"


class BlobUploadInvalid(AppError):
    code, status, default_message = "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"


class BlobUploadBusy(AppError):
    code, status, default_message = "BLOB_UPLOAD_BUSY", 409, "another request is writing to this upload"


class DigestInvalid(AppError):
    code, status, default_message = "DIGEST_INVALID", 400, "provided digest did not match uploaded content"


class SizeInvalid(AppError):
    code, status, default_message = "SIZE_INVALID", 400, "provided length did not match content length"


class RangeInvalid(AppError):
    code, status, default_message = "RANGE_INVALID", 416, "invalid content range"


class ChunkOutOfOrder(RangeInvalid):
    """The chunk does not start where the upload ends; `size` is where that is."""

    def __init__(self, size: int) -> None:
        super().__init__(detail={"size": size})
        self.size = size


class ManifestInvalid(AppError):
    code, status, default_message = "MANIFEST_INVALID", 400, "manifest invalid"


class ManifestBlobUnknown(AppError):
    code, status, default_message = "MANIFEST_BLOB_UNKNOWN", 400, "blob unknown to registry"


class ManifestUnknown(AppError):
    code, status, default_message = "MANIFEST_UNKNOWN", 404, "manifest unknown"


class ManifestTooLarge(TooLarge):
    default_message = "the manifest is larger than 4 MiB"


class NameInvalid(AppError):
    code, status, default_message = "NAME_INVALID", 400, "invalid repository name"


class TagInvalid(AppError):
    code, status, default_message = "TAG_INVALID", 400, "invalid tag"


class Unsupported(AppError):
    code, status, default_message = "UNSUPPORTED", 400, "the operation is unsupported"


class BadDigest(BadRequest):
    default_message = "unsupported digest"


class ArtifactNotFound(NotFound):
    default_message = "artifact not found"


class RepositoryNotFound(NotFound):
    default_message = "repository not found"


class TagNotFound(NotFound):
    default_message = "tag not found"


class TagExists(Conflict):
    default_message = "tag already exists"


class ReferencedByOthers(PreconditionFailed):
    """An index lists the artifact; Harbor names its database's complaint."""

    code = "VIOLATE_FOREIGN_KEY_CONSTRAINT"
    default_message = "the deleting artifact is referenced by others"


class StorageFull(AppError):
    code, status, default_message = "STORAGE_FULL", 507, "the registry's storage is full"


class ScannerExists(Conflict):
    default_message = _("there is a scanner of this name or address")
