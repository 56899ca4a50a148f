"""What a manifest says: the checked, immutable view of the exact bytes that a client pushed."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry.oci import media_types
from registry.oci.digest import Digest, DigestError
from registry.oci.text import excerpt

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
_MAX_SIZE: Final = 2**63 - 1  # sizes and their sums end in signed 64-bit columns
_MAX_TYPE_LENGTH: Final = 255

_WASM_ANNOTATIONS: Final = {"module.wasm.image/variant": "compat", "run.oci.handler": "wasm"}
_INDEX_TYPE_ANNOTATION: Final = "org.opencontainers.artifactType"
_NYDUS_BOOTSTRAP_ANNOTATION: Final = "containerd.io/snapshot/nydus-bootstrap"
_COSIGN_SIGNATURE_TAG: Final = re.compile(r"sha256-([0-9a-f]{64})\.sig")


class ManifestError(ValueError):
    """The bytes are no valid manifest; the message says where and why, in English, for clients."""


class UnsupportedManifestError(ManifestError):
    """The content type is none that the registry keeps, Docker's schema 1 among them."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a child of an index runs."""

    architecture: str = ""
    os: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    variant: str = ""

    def as_json(self) -> dict[str, str | list[str]]:
        """The platform as in the index, unset optional fields left out."""
        named: dict[str, str | list[str]] = {"architecture": self.architecture, "os": self.os}
        optional: dict[str, str | list[str]] = {
            "os.version": self.os_version,
            "os.features": list(self.os_features),
            "variant": self.variant,
        }
        return named | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content: what it is, its digest and its declared size."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_foreign(self) -> bool:
        """Kept by its publisher: it need not be in the registry."""
        return media_types.is_foreign_layer(self.media_type)


@dataclass(frozen=True, slots=True)
class Accessory:
    """That a manifest belongs to another one, and as what."""

    type: str
    subject: Digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest (a config and layers) or an index (children). Properties follow Harbor's artifact."""

    manifest_media_type: str
    raw_size: int
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    declared_artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_index(self) -> bool:
        return self.config is None

    @property
    def media_type(self) -> str:
        """What the content is, where `manifest_media_type` says in which format it is described."""
        if self.config is None:
            return self.annotations.get(_INDEX_TYPE_ANNOTATION) or self.manifest_media_type
        if any(self.annotations.get(key) == value for key, value in _WASM_ANNOTATIONS.items()):
            return media_types.WASM_CONFIG
        return self.config.media_type

    @property
    def artifact_type(self) -> str:
        """As the referrers API defines it: declared, else the config's media type, else empty."""
        return self.declared_artifact_type or (self.config.media_type if self.config else "")

    @property
    def type(self) -> str:
        """Harbor's kind of artifact: IMAGE, CHART, …"""
        # Not artifact_type: a WASM image is told by annotations, and its config calls itself a plain image.
        return media_types.artifact_kind(self.declared_artifact_type, self.media_type)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and layers that the registry must hold, each digest once."""
        return _unique(blob for blob in self._config_and_layers() if not blob.is_foreign)

    @property
    def foreign_blobs(self) -> tuple[Descriptor, ...]:
        """The layers that may be missing from the registry, each digest once."""
        return _unique(blob for blob in self._config_and_layers() if blob.is_foreign)

    @property
    def size(self) -> int:
        """The bytes of the manifest, its config and its layers; an index adds its children's sizes."""
        return self.raw_size + sum(blob.size for blob in self._config_and_layers())

    def accessory(self, tag: str = "") -> Accessory | None:
        """What this manifest, pushed as `tag`, is an accessory of, if of anything."""
        signed = _COSIGN_SIGNATURE_TAG.fullmatch(tag)
        if signed and any(layer.media_type == media_types.COSIGN_SIMPLE_SIGNING for layer in self.layers):
            return Accessory("signature.cosign", Digest("sha256", signed[1]))
        if self.subject is None:
            return None
        if self._is_nydus():
            return Accessory("accelerator.nydus", self.subject.digest)
        return Accessory(_ACCESSORY_TYPES.get(self.artifact_type, "subject.accessory"), self.subject.digest)

    def _is_nydus(self) -> bool:
        if self.config is None or self.config.media_type not in media_types.IMAGE_CONFIGS or not self.layers:
            return False
        return _NYDUS_BOOTSTRAP_ANNOTATION in self.layers[-1].annotations

    def _config_and_layers(self) -> tuple[Descriptor, ...]:
        return (self.config, *self.layers) if self.config else self.layers


_ACCESSORY_TYPES: Final = {
    media_types.COSIGN_SIGNATURE: "signature.cosign",
    media_types.SIGSTORE_BUNDLE: "signature.cosign",
    media_types.NOTATION_SIGNATURE: "signature.notation",
    media_types.HARBOR_SBOM: "sbom.harbor",
}


def parse(raw: bytes, content_type: str) -> Manifest:
    """Read a manifest as what its Content-Type says it is. Raises ManifestError, and nothing else."""
    media_type = content_type.partition(";")[0].strip()
    if media_type not in media_types.SUPPORTED:
        named = excerpt(media_type).strip("'")
        raise UnsupportedManifestError(f"unsupported manifest media type: {named}")
    document = _load(raw)
    _check_identity(document, media_type)
    is_index = media_type in media_types.INDEXES
    manifest = Manifest(
        manifest_media_type=media_type,
        raw_size=len(raw),
        config=None if is_index else _descriptor(document.get("config"), "config"),
        layers=() if is_index else _descriptors(document, "layers"),
        children=_descriptors(document, "manifests") if is_index else (),
        subject=None if document.get("subject") is None else _descriptor(document["subject"], "subject"),
        declared_artifact_type=_type_name(document.get("artifactType"), "artifactType"),
        annotations=_annotations(document.get("annotations"), "annotations"),
    )
    if manifest.size > _MAX_SIZE:
        raise ManifestError("the sizes of config and layers add up to more than 2^63-1")
    return manifest


def _load(raw: bytes) -> dict[str, object]:
    try:
        # RFC 8259 allows no byte order mark and no other encoding; json.loads(bytes) would guess at both.
        document = json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except ManifestError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ManifestError(f"manifest is not valid JSON: {reason}") from None
    if not isinstance(document, dict):
        raise ManifestError("manifest is not a JSON object")
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Readers disagree on which of two equal keys counts, so a document that has them is ambiguous."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ManifestError("manifest has a JSON object with a repeated key")
    return members


def _refuse_constant(name: str) -> object:
    raise ManifestError(f"manifest is not valid JSON: {name}")


def _check_identity(document: dict[str, object], media_type: str) -> None:
    """One reading only: the document may not pass for another kind of manifest (CVE-2021-41190)."""
    _check_spelling(document, _MANIFEST_KEYS, "manifest")
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2:
        raise ManifestError("schemaVersion must be 2")
    declared = document.get("mediaType")
    if declared is not None and declared != media_type:
        raise ManifestError(f"mediaType {excerpt(declared)} differs from the Content-Type {excerpt(media_type)}")
    is_index = media_type in media_types.INDEXES
    for key in ("config", "layers", "fsLayers") if is_index else ("manifests", "fsLayers"):
        if key in document:
            raise ManifestError(f"a manifest of type {media_type} must not have {key!r}")
    if is_index and "manifests" not in document:
        raise ManifestError("manifests is missing")


def _check_spelling(members: Mapping[str, object], keys: Mapping[str, str], where: str) -> None:
    """Go clients match keys in any case, so `Layers` would be layers that this parser does not see."""
    for key in members:
        expected = keys.get(key.casefold(), key)
        if key != expected:
            raise ManifestError(f"{where} has {excerpt(key)}, which must be spelt {expected!r}")


def _by_folded(*keys: str) -> dict[str, str]:
    return {key.casefold(): key for key in keys}


_MANIFEST_KEYS: Final = _by_folded(
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "fsLayers",
    "subject",
    "annotations",
)
_DESCRIPTOR_KEYS: Final = _by_folded(
    "mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"
)


def _descriptors(document: dict[str, object], key: str) -> tuple[Descriptor, ...]:
    value = document.get(key)
    if value is None:  # how Go writes an empty list
        return ()
    if not isinstance(value, list):
        raise ManifestError(f"{key} must be a list")
    return tuple(_descriptor(item, f"{key}[{index}]") for index, item in enumerate(value))


def _descriptor(value: object, where: str) -> Descriptor:
    if value is None:
        raise ManifestError(f"{where} is missing")
    if not isinstance(value, dict):
        raise ManifestError(f"{where} must be an object")
    _check_spelling(value, _DESCRIPTOR_KEYS, where)
    media_type = _type_name(value.get("mediaType"), f"{where}.mediaType")
    if not media_type:
        raise ManifestError(f"{where}.mediaType is missing")
    digest, size = _digest(value.get("digest"), where), _size(value.get("size"), where)
    _check_data(value.get("data"), digest, size, where)
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        artifact_type=_type_name(value.get("artifactType"), f"{where}.artifactType"),
        platform=_platform(value.get("platform"), f"{where}.platform"),
        urls=_texts(value.get("urls"), f"{where}.urls"),
        annotations=_annotations(value.get("annotations"), f"{where}.annotations"),
    )


def _digest(value: object, where: str) -> Digest:
    try:
        return Digest.parse(_text(value, f"{where}.digest"))
    except DigestError as error:
        raise ManifestError(f"{where}.digest: {error}") from None


def _size(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_SIZE:
        raise ManifestError(f"{where}.size must be a whole number from 0 to 2^63-1")
    return value


def _check_data(value: object, digest: Digest, size: int, where: str) -> None:
    """Embedded content must be the content described, or two readers of one manifest see two things."""
    if value is None:
        return
    text = _text(value, f"{where}.data")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ManifestError(f"{where}.data is not base64") from None
    if len(data) != size or Digest.of(data, digest.algorithm) != digest:
        raise ManifestError(f"{where}.data does not match its digest and size")


def _platform(value: object, where: str) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestError(f"{where} must be an object")
    return Platform(
        architecture=_text(value.get("architecture"), f"{where}.architecture"),
        os=_text(value.get("os"), f"{where}.os"),
        os_version=_text(value.get("os.version"), f"{where}.os.version"),
        os_features=_texts(value.get("os.features"), f"{where}.os.features"),
        variant=_text(value.get("variant"), f"{where}.variant"),
    )


def _annotations(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ManifestError(f"{where} must be an object")
    return {_text(key, f"a key of {where}"): _text(item, f"a value of {where}") for key, item in value.items()}


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ManifestError(f"{where} must be a list")
    return tuple(_text(item, f"{where}[{index}]") for index, item in enumerate(value))


def _text(value: object, where: str) -> str:
    """A string that can be stored: JSON can write half a surrogate pair, UTF-8 and databases cannot."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ManifestError(f"{where} must be a string")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ManifestError(f"{where} holds half of a surrogate pair")
    return value


def _type_name(value: object, where: str) -> str:
    """A media type, checked for what could hurt (length, line breaks), not against RFC 6838's letter."""
    name = _text(value, where)
    if len(name) > _MAX_TYPE_LENGTH or not (name.isprintable() and name.isascii()):
        raise ManifestError(f"{where} is not a media type")
    return name


def _unique(blobs: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    found: dict[Digest, Descriptor] = {}
    for blob in blobs:
        found.setdefault(blob.digest, blob)
    return tuple(found.values())
