"""Registry requests as tests need them; every function returns the last answer."""

from __future__ import annotations

import io
from typing import Any

from django.test import Client

from tests import images
from tests.images import Manifest

OCTETS = "application/octet-stream"
ACCEPT = {"Accept": ", ".join([images.OCI_MANIFEST, images.OCI_INDEX, images.DOCKER_MANIFEST, images.DOCKER_LIST])}


def put_blob(client: Client, repository: str, data: bytes, digest: str = "") -> Any:
    """POST, then PUT with all the bytes."""
    started = client.post(f"/v2/{repository}/blobs/uploads/")
    if started.status_code != 202:
        return started
    return finish(client, started, digest or images.digest_of(data), data)


def finish(client: Client, started: Any, digest: str, data: bytes = b"", **headers: str) -> Any:
    address = f"{path(started)}?digest={digest}"
    return client.put(address, data, content_type=OCTETS, headers=headers)


def patch(client: Client, started: Any, data: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(path(started), data, content_type=OCTETS, headers=named)


def patch_stream(client: Client, started: Any, data: bytes) -> Any:
    """A chunked body, as docker sends it: its length is not announced."""
    extra = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": ""}
    return client.generic("PATCH", path(started), b"", OCTETS, **extra)  # type: ignore[arg-type]


def cut_short(client: Client, method: str, address: str, data: bytes, announced: int) -> Any:
    """A body that ends before the length that was announced."""
    extra = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(announced)}
    return client.generic(method, address, b"", OCTETS, **extra)  # type: ignore[arg-type]


def path(answer: Any) -> str:
    """The path of the answer's Location, as a client follows it."""
    return str(answer["Location"]).removeprefix("http://testserver")


def put_manifest(client: Client, repository: str, reference: str, manifest: Manifest) -> Any:
    return client.put(f"/v2/{repository}/manifests/{reference}", manifest.data, content_type=manifest.media_type)


def push(client: Client, name: str, manifest: Manifest) -> Any:
    """Push everything under `repository:tag` (without a tag: by digest), children first."""
    repository, _, tag = name.partition(":")
    for part in manifest.walk():
        for blob in part.blobs:
            answer = put_blob(client, repository, blob.data)
            if answer.status_code != 201:
                return answer
        reference = tag if tag and part is manifest else part.digest
        answer = put_manifest(client, repository, reference, part)
        if answer.status_code != 201:
            return answer
    return answer


def get_manifest(client: Client, repository: str, reference: str) -> Any:
    return client.get(f"/v2/{repository}/manifests/{reference}", headers=ACCEPT)


def get_blob(client: Client, repository: str, digest: str, **headers: str) -> Any:
    return client.get(f"/v2/{repository}/blobs/{digest}", headers=headers)


def has_blob(client: Client, repository: str, digest: str) -> bool:
    return bool(client.head(f"/v2/{repository}/blobs/{digest}").status_code == 200)


def content(answer: Any) -> bytes:
    """The bytes of an answer, streamed or not."""
    return b"".join(answer.streaming_content) if answer.streaming else answer.content
