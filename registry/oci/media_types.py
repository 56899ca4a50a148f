"""The media types the registry knows, and the kinds of artifact they stand for."""

import re
from typing import Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

OCI_IMAGE_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
DOCKER_IMAGE_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
HELM_CONFIG: Final = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART_LAYER: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CNAB_MANIFEST: Final = "application/vnd.cnab.manifest.v1"
WASM_CONFIG: Final = "application/vnd.wasm.config.v1+json"
HARBOR_SBOM: Final = "application/vnd.goharbor.harbor.sbom.v1"
CNAI_MODEL: Final = "application/vnd.cncf.model.manifest.v1+json"

COSIGN_SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
COSIGN_SIGNATURE: Final = "application/vnd.dev.cosign.artifact.sig.v1+json"
SIGSTORE_BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOTATION_SIGNATURE: Final = "application/vnd.cncf.notary.signature"

DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
OCI_NONDISTRIBUTABLE_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"

MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
SUPPORTED: Final = MANIFESTS | INDEXES
IMAGE_CONFIGS: Final = frozenset({OCI_IMAGE_CONFIG, DOCKER_IMAGE_CONFIG})

IMAGE: Final = "IMAGE"
CHART: Final = "CHART"
CNAB: Final = "CNAB"
WASM: Final = "WASM"
SBOM: Final = "SBOM"
CNAI: Final = "CNAI"
UNKNOWN: Final = "UNKNOWN"

_KINDS: Final = {
    OCI_IMAGE_CONFIG: IMAGE,
    DOCKER_IMAGE_CONFIG: IMAGE,
    OCI_INDEX: IMAGE,
    DOCKER_MANIFEST_LIST: IMAGE,
    HELM_CONFIG: CHART,
    CNAB_MANIFEST: CNAB,
    WASM_CONFIG: WASM,
    HARBOR_SBOM: SBOM,
    CNAI_MODEL: CNAI,
}
# application/vnd.<owner>.<kind>.config.<version>+json, the naming that Harbor asks of new kinds of artifact
_CONFIG_TYPE = re.compile(r"application/vnd\.[^.]*\.(.*)\.config\.[^.]*\+json")


def artifact_kind(artifact_type: str, media_type: str) -> str:
    """Harbor's `type` of an artifact: by its artifact type, else by its media type or how that is named."""
    known = _KINDS.get(artifact_type) or _KINDS.get(media_type)
    if known:
        return known
    named = _CONFIG_TYPE.fullmatch(media_type)
    return named[1].upper() if named else UNKNOWN


def is_foreign_layer(media_type: str) -> bool:
    """Layers of these types stay where their publisher keeps them; clients do not push them."""
    return media_type.startswith((DOCKER_FOREIGN_LAYER, OCI_NONDISTRIBUTABLE_LAYER))
