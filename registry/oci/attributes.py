"""What an artifact says about itself in its configuration: Harbor's `extra_attrs`, from bytes alone."""

import json
from collections.abc import Mapping
from typing import Any, Final

from registry.oci import media_types
from registry.oci.manifest import Manifest

MAX_CONFIG_BYTES: Final = 1024 * 1024  # a configuration larger than this is stored, but not looked into
_MAX_DEPTH: Final = 28  # MariaDB takes JSON of 32 levels, the value stands in a map of ours
_SKIP_LIST: Final = "io.goharbor.artifact.v1alpha1.skip-list"
_AUTHOR_LABELS: Final = ("org.opencontainers.image.authors", "maintainer")
# The OCI image specification's names for how a container is run; Harbor shows no others.
_CONFIG_KEYS: Final = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
)


def wants_config(manifest: Manifest) -> bool:
    """Whether `extra_attrs` would look into the configuration."""
    return manifest.config is not None and 0 < manifest.config.size <= MAX_CONFIG_BYTES


def extra_attrs(manifest: Manifest, config: bytes) -> dict[str, Any]:
    """By the kind of artifact; empty where the configuration is no JSON object or none that can be kept."""
    document = _object(config)
    if document is None or manifest.config is None:
        return {}
    if manifest.type in (media_types.IMAGE, media_types.WASM):
        attributes = _image(document)
        if manifest.type == media_types.WASM:
            attributes["manifest.config.mediaType"] = manifest.config.media_type
    else:
        attributes = document
    skipped = manifest.config.annotations.get(_SKIP_LIST, "")
    for key in skipped.split(","):
        attributes.pop(key.strip(), None)
    return attributes


def _image(document: Mapping[str, Any]) -> dict[str, Any]:
    run = document.get("config")
    run = run if isinstance(run, dict) else {}
    attributes: dict[str, Any] = {
        "created": document.get("created"),
        "architecture": document.get("architecture") or "",
        "os": document.get("os") or "",
        "config": {key: run[key] for key in _CONFIG_KEYS if run.get(key)},
    }
    labels = run.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    author = document.get("author") or next((labels[key] for key in _AUTHOR_LABELS if labels.get(key)), None)
    if author:
        attributes["author"] = author
    return attributes


def _object(config: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(config.decode(), parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair cannot be stored
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and _depth(document) <= _MAX_DEPTH else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _depth(document: object) -> int:
    level: list[object] = [document]
    depth = 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        inner = [value for value in level if isinstance(value, dict | list)]
        level = [item for value in inner for item in (value.values() if isinstance(value, dict) else value)]
    return depth
