"""Small real images, indexes and artifacts, built byte for byte from the standard library."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

CREATED = "2024-01-01T00:00:00Z"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass(frozen=True)
class Blob:
    """Bytes that a manifest names: a layer or a config."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True)
class Manifest:
    """A manifest's exact bytes with all that has to be in the registry before it: blobs, then children."""

    media_type: str
    data: bytes
    blobs: tuple[Blob, ...] = ()
    children: tuple["Manifest", ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.data)
        return parsed

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}

    def walk(self) -> Iterator["Manifest"]:
        """Every manifest in the order in which a client must push them: children first."""
        for child in self.children:
            yield from child.walk()
        yield self


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def incompressible(seed: str, size: int) -> bytes:
    """`size` bytes that look random, are the same on every run, and stay as long when compressed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def image(
    text: str = "hello",
    *,
    architecture: str = "amd64",
    layers: int = 1,
    layer_size: int = 0,
    docker: bool = False,
    subject: Manifest | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """An image whose bytes follow from its arguments alone: other text, other digest.

    `layer_size` adds that many incompressible bytes to each layer; `docker` makes it a schema 2 manifest.
    """
    tars = []
    for number in range(layers):
        files = {f"layer-{number}.txt": f"{text} {architecture} {number}\n".encode()}
        if layer_size:
            files[f"layer-{number}.bin"] = incompressible(f"{text} {architecture} {number}", layer_size)
        tars.append(_tar(files))
    config = {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/hello"], "Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        "history": [{"created": CREATED, "created_by": f"COPY layer-{n}.txt /"} for n in range(layers)],
    }
    config_blob = Blob(DOCKER_CONFIG if docker else OCI_CONFIG, _json(config))
    layer_type = DOCKER_LAYER if docker else OCI_LAYER
    layer_blobs = tuple(Blob(layer_type, gzip.compress(tar, 6, mtime=0)) for tar in tars)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
        "config": config_blob.descriptor,
        "layers": [blob.descriptor for blob in layer_blobs],
    }
    if subject:
        manifest["subject"] = subject.descriptor
    if annotations:
        manifest["annotations"] = dict(annotations)
    return Manifest(manifest["mediaType"], _json(manifest), (config_blob, *layer_blobs))


def index(
    text: str = "hello", *, architectures: tuple[str, ...] = ("amd64", "arm64"), docker: bool = False
) -> Manifest:
    """A multi-architecture index (or Docker manifest list) with one image for each architecture."""
    children = tuple(image(text, architecture=name, docker=docker) for name in architectures)
    return index_of(*children, docker=docker)


def index_of(*children: Manifest, docker: bool = False) -> Manifest:
    """An index over the manifests given; platforms come from the images' configs."""
    entries = []
    for child in children:
        entry = child.descriptor
        if child.blobs and child.blobs[0].media_type in (OCI_CONFIG, DOCKER_CONFIG):
            config = json.loads(child.blobs[0].data)
            entry["platform"] = {"architecture": config["architecture"], "os": config["os"]}
        entries.append(entry)
    media_type = DOCKER_LIST if docker else OCI_INDEX
    return Manifest(
        media_type,
        _json({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}),
        children=children,
    )


def artifact(
    payload: bytes = b"{}",
    *,
    artifact_type: str = "application/vnd.example.sbom.v1+json",
    subject: Manifest | None = None,
) -> Manifest:
    """An OCI 1.1 artifact: empty config, an artifactType, and (as a referrer) a subject."""
    config = Blob(OCI_EMPTY, b"{}")
    layer = Blob(artifact_type, payload)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config.descriptor,
        "layers": [layer.descriptor],
    }
    if subject:
        manifest["subject"] = subject.descriptor
    return Manifest(OCI_MANIFEST, _json(manifest), (config, layer))


def write_layout(directory: Path, manifest: Manifest, *, tag: str = "latest") -> Path:
    """Write an OCI image layout, which skopeo, podman, crane, regctl and oras all read."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for part in manifest.walk():
        for content in (part.data, *(blob.data for blob in part.blobs)):
            (blobs / digest_of(content).partition(":")[2]).write_bytes(content)
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    entry = manifest.descriptor | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (directory / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    return directory


def write_docker_archive(path: Path, manifest: Manifest, *names: str) -> Path:
    """Write what `docker save` would: `docker load` and `podman load` take it in under `names`."""
    config, *layers = manifest.blobs
    config_name = f"{config.digest.partition(':')[2]}.json"
    layer_names = [f"{number}/layer.tar" for number in range(len(layers))]
    listing = [{"Config": config_name, "RepoTags": list(names), "Layers": layer_names}]
    files = {config_name: config.data, "manifest.json": json.dumps(listing).encode()}
    for name, layer in zip(layer_names, layers, strict=True):
        files[name] = gzip.decompress(layer.data)
    path.write_bytes(_tar(files))
    return path
