"""What an artifact holds beside its layers: the build history of an image, the files of a chart.

Everything read here was pushed by somebody: sizes are counted while reading, never believed.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final

from harborsite.errors import BadRequest, NotFound, TooLarge
from registry.models import Artifact
from registry.oci import manifest
from registry.oci.digest import Digest
from registry.oci.manifest import Descriptor, Manifest
from registry.storage import BlobMissingError, store

MAX_FILE: Final = 4 * 1024 * 1024
_MAX_UNPACKED: Final = 64 * 1024 * 1024
_MAX_ENTRIES: Final = 10_000

# The additions of each kind of artifact, in the order in which its links are given.
OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "IMAGE": ("build_history",),
    "WASM": ("build_history",),
    "CHART": ("values.yaml", "readme.md", "dependencies"),
    "SBOM": ("sbom",),
}
MEDIA_TYPES: Mapping[str, str] = {
    "build_history": "application/json; charset=utf-8",
    "dependencies": "application/json; charset=utf-8",
    "values.yaml": "text/plain; charset=utf-8",
    "readme.md": "text/markdown; charset=utf-8",
    "sbom": "application/vnd.goharbor.harbor.sbom.v1",
}


def names(artifact: Artifact) -> tuple[str, ...]:
    """The additions that `artifact` has; an index has none of its own."""
    return () if artifact.is_index else OF_TYPE.get(artifact.type, ())


def read(artifact: Artifact, name: str) -> bytes:
    """One addition. Raises BadRequest for one that this kind does not have, NotFound for one that is not there."""
    if name not in names(artifact):
        raise BadRequest(f"addition {name.upper()} isn't supported for {artifact.type}")
    parsed = manifest.parse(bytes(artifact.manifest), artifact.manifest_media_type)
    if name == "build_history":
        return json.dumps(_config(parsed).get("history") or []).encode()
    if name == "dependencies":
        return json.dumps(_dependencies(_config(parsed))).encode()
    if not parsed.layers:
        raise NotFound(f"{name} not found")
    if name == "sbom":
        return _blob(parsed.layers[0], MAX_FILE)
    return _chart_file(parsed.layers[0], name)


def _config(parsed: Manifest) -> dict[str, Any]:
    if parsed.config is None:
        return {}
    try:
        document = json.loads(_blob(parsed.config, MAX_FILE))
    except (ValueError, RecursionError):
        raise BadRequest("the configuration of the artifact is not JSON") from None
    return document if isinstance(document, dict) else {}


def _dependencies(chart: Mapping[str, Any]) -> list[dict[str, str]]:
    listed = chart.get("dependencies")
    entries: Sequence[Any] = listed if isinstance(listed, list) else []
    wanted = ("name", "version", "repository")
    return [{key: str(entry.get(key, "")) for key in wanted} for entry in entries if isinstance(entry, dict)]


def _blob(descriptor: Descriptor, limit: int) -> bytes:
    with _open(descriptor.digest) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"the content is larger than {limit} bytes")
    return data


def _open(digest: Digest) -> BinaryIO:
    try:
        return store().open(digest)
    except BlobMissingError:
        raise NotFound(f"blob {digest} not found") from None


def _chart_file(layer: Descriptor, name: str) -> bytes:
    """A file right below the chart's own folder, whatever case it is written in."""
    try:
        with _open(layer.digest) as packed:
            data = _unpack(packed)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, entry in enumerate(archive):
                if count > _MAX_ENTRIES:
                    break
                parts = entry.name.lower().removeprefix("./").split("/")
                if entry.isreg() and len(parts) == 2 and parts[1] == name:
                    return _entry(archive, entry)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BadRequest(f"the chart's archive cannot be read: {type(error).__name__}") from None
    raise NotFound(f"{name} not found")


def _unpack(packed: BinaryIO) -> bytes:
    """The archive out of its gzip, as far as is sensible for a chart."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    unpacked = io.BytesIO()
    while chunk := packed.read(64 * 1024):
        while chunk:
            unpacked.write(unpacker.decompress(chunk, 1024 * 1024))
            if unpacked.tell() > _MAX_UNPACKED:
                raise TooLarge("the chart is too large to look into")
            chunk = unpacker.unconsumed_tail
    return unpacked.getvalue()


def _entry(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(entry)
    data = stream.read(MAX_FILE + 1) if stream else b""
    if len(data) > MAX_FILE:
        raise TooLarge(f"the content is larger than {MAX_FILE} bytes")
    return data
