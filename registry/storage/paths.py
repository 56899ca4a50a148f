"""Where everything is: the only place that makes keys, and that reads digests back from them."""

import re
from typing import Final

from registry.oci.digest import Digest, DigestError

# Distribution's blob layout, so that the volume of an existing registry can be read as it is:
#   blobs/sha256/ab/abcd…/data     uploads/<uuid>
BLOBS: Final = "blobs"
UPLOADS: Final = "uploads"
ASIDE: Final = "quarantine"  # sha256/abcd…: what is kept and not served
_DATA: Final = "data"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def blob_key(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/{_DATA}"


def aside_key(digest: Digest) -> str:
    return f"{ASIDE}/{digest.algorithm}/{digest.hex}"


def upload_key(upload: str) -> str:
    """Only UUIDs pass, so that no upload can name a path."""
    if not is_upload(upload):
        raise ValueError("upload keys are lower-case UUIDs")
    return f"{UPLOADS}/{upload}"


def is_upload(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def digest_of(key: str) -> Digest | None:
    """The digest whose blob is at `key`, None if it is no blob's place."""
    parts = key.split("/")
    if len(parts) != 5:
        return None
    try:
        digest = Digest(parts[1], parts[3])
    except DigestError:
        return None
    return digest if blob_key(digest) == key else None
