"""What refers to a manifest: artifacts with it as their subject, and what clients listed under the fallback tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Length

from registry.errors import ArtifactNotFound
from registry.models import Artifact
from registry.oci import manifest
from registry.oci.digest import Digest
from registry.oci.manifest import ManifestError
from registry.services import manifests


@dataclass(frozen=True, slots=True)
class Referrers:
    """Descriptors, of one artifact type or all, and how many there are of all types."""

    descriptors: list[dict[str, Any]]
    total: int


def find(*, repository_name: str, digest: Digest, artifact_type: str = "") -> Referrers:
    """Everything in the repository that refers to `digest`, oldest first; the digest itself may be unknown."""
    rows = (
        Artifact.objects.filter(repository__name=repository_name, subject_digest=str(digest))
        .annotate(manifest_size=Length("manifest"))
        .order_by("pk")
        .values_list("manifest_media_type", "digest", "manifest_size", "annotations", "artifact_type")
    )
    found = {row[1]: _descriptor(*row) for row in rows}
    for descriptor in _listed_under_fallback_tag(repository_name, digest):
        found.setdefault(descriptor["digest"], descriptor)
    wanted = [entry for entry in found.values() if not artifact_type or entry.get("artifactType") == artifact_type]
    return Referrers(wanted, len(found))


def _listed_under_fallback_tag(repository_name: str, digest: Digest) -> list[dict[str, Any]]:
    """Clients that found no referrers API keep an index by themselves; the spec cuts the tag at 64 digits."""
    tag = f"{digest.algorithm}-{digest.hex[:64]}"
    try:
        stored = manifests.find(repository_name=repository_name, reference=tag)
        index = manifest.parse(stored.raw, stored.media_type)
    except (ArtifactNotFound, ManifestError):
        return []
    return [
        _descriptor(child.media_type, str(child.digest), child.size, dict(child.annotations), child.artifact_type)
        for child in index.children
    ]


def _descriptor(
    media_type: str, digest: str, size: int, annotations: dict[str, str], artifact_type: str
) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if annotations:
        descriptor["annotations"] = annotations
    if artifact_type:
        descriptor["artifactType"] = artifact_type
    return descriptor
