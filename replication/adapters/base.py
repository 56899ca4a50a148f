"""What the two sides of a copy promise each other, and the table of adapters with Harbor's figures for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypedDict

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from harborsite.errors import BadRequest
from harborsite.outbound import Reader
from harborsite.sealing import unseal
from registry.oci.digest import Digest
from registry.oci.manifest import Descriptor
from replication import namespaces
from replication.filters import Candidate, Filters
from replication.models import Registry

if TYPE_CHECKING:
    from replication.adapters.distribution import Distribution

CHUNK_BYTES = 10 * 1024 * 1024  # Harbor's chunk when copying by chunk
RESUMABLE_BYTES = 8 * 1024 * 1024  # smaller blobs are sent anew rather than resumed

_ACCESSORY_SUFFIXES = (".sig", ".att", ".sbom")  # cosign's tags, beside the plain one of the referrers fallback

Content = Callable[[int], AbstractContextManager[Reader]]  # a blob's bytes from an offset on


def fallback_tag(digest: Digest) -> str:
    """The tag under which clients list what belongs to a manifest, where there is no referrers API."""
    return f"{digest.algorithm}-{digest.hex[:64]}"


def tagged_accessories(digest: Digest, tags: Collection[str]) -> list[str]:
    """Those of `tags` that belong to a manifest by their name alone."""
    return [tag for suffix in _ACCESSORY_SUFFIXES if (tag := fallback_tag(digest) + suffix) in tags]


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as it came, whose digest was computed from its bytes."""

    raw: bytes
    media_type: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository of a source, with what the policy means of it."""

    name: str
    artifacts: Sequence[Candidate]
    public: bool | None = None  # of its project, where there are projects


class Source(Protocol):
    """Where artifacts are read. Threads may share it."""

    looks_are_cheap: bool  # whether reading a manifest costs no request

    def listings(self, filters: Filters) -> Iterable[Listing]: ...
    def listing(self, repository: str, filters: Filters, digest: str) -> Listing | None:
        """The one artifact `digest` of a repository, as far as the filters mean it."""
        ...

    def digest_of(self, repository: str, reference: str) -> Digest | None: ...
    def manifest(self, repository: str, reference: str) -> RawManifest | None:
        """The manifest behind a tag or digest, None if there is none; its bytes are what the digest says."""
        ...

    def blob(self, repository: str, digest: Digest) -> Content: ...
    def accessories(self, repository: str, digest: Digest) -> Sequence[Candidate]:
        """What refers to a manifest: signatures and the like, with the tags they have."""
        ...

    def other_holders(self, repository: str, digests: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """Other repositories that hold these blobs, as far as that is known without asking."""
        ...

    def close(self) -> None: ...


class Target(Protocol):
    """Where artifacts are written. Threads may share it."""

    name_parts: str
    writes: bool  # set by whoever writes, so that one token does for everything

    def prepare(self, repository: str, *, public: bool) -> None:
        """See that the repository can be pushed to: make its project if need be."""
        ...

    def is_empty(self, repository: str) -> bool: ...
    def digest_of(self, repository: str, reference: str) -> Digest | None: ...
    def has_blob(self, repository: str, digest: Digest) -> bool: ...
    def mount_from(self, sources: Mapping[str, str]) -> None:
        """Which repository of the target probably holds a blob: digest to name."""
        ...

    def push_blob(
        self, repository: str, blob: Descriptor, content: Content, uploads: MutableMapping[str, str], /
    ) -> int:
        """Mount or write a blob and return how many bytes were sent. `uploads` remembers what can be resumed."""
        ...

    def push_manifest(self, repository: str, manifest: RawManifest, tags: Sequence[str], /) -> None: ...
    def list_accessory(self, repository: str, subject: Digest, accessory: dict[str, Any]) -> None:
        """Make an accessory findable where the registry does not do that by itself."""
        ...

    def delete_artifact(self, repository: str, digest: Digest) -> None: ...
    def delete_tag(self, repository: str, tag: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """How a policy wants its copies made."""

    chunk_bytes: int = 0  # 0 sends a blob in one piece


class Endpoint(TypedDict):
    key: str
    value: str


class EndpointPattern(TypedDict):
    endpoint_type: str
    endpoints: list[Endpoint]


class CredentialPattern(TypedDict):
    access_key_type: str
    access_key_data: str
    access_secret_type: str
    access_secret_data: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What an adapter's kind of registry is like; `endpoints` and `credentials` as `/replication/adapterinfos` says."""

    adapter: str  # dotted path of a Distribution
    endpoints: EndpointPattern | None = None
    credentials: CredentialPattern | None = None
    resources: Sequence[str] = ("image",)
    name_parts: str = namespaces.ANY
    by_label: bool = False
    by_chunk: bool = False

    def adapter_class(self) -> type[Distribution]:
        found: type[Distribution] = import_string(self.adapter)
        return found


def _fixed_endpoint(key: str, value: str) -> EndpointPattern:
    return {"endpoint_type": "EndpointPatternTypeFix", "endpoints": [{"key": key, "value": value}]}


def _endpoint_list(*hosts: str) -> EndpointPattern:
    endpoints: list[Endpoint] = [{"key": host, "value": f"https://{host}"} for host in hosts]
    return {"endpoint_type": "EndpointPatternTypeList", "endpoints": endpoints}


def _key_file(key: str, secret: str) -> CredentialPattern:
    return {
        "access_key_type": "AccessKeyTypeFix",
        "access_key_data": key,
        "access_secret_type": "AccessSecretTypeFile",
        "access_secret_data": secret,
    }


_DISTRIBUTION = "replication.adapters.distribution.Distribution"

# Those beside harbor and docker-hub speak the distribution protocol with passwords or their token services.
KINDS: Mapping[str, Kind] = {
    "azure-acr": Kind(_DISTRIBUTION, resources=("image", "artifact"), by_chunk=True),
    "docker-hub": Kind(
        "replication.adapters.dockerhub.DockerHub",
        endpoints=_fixed_endpoint("hub.docker.com", "https://hub.docker.com"),
        name_parts=namespaces.ONLY_TWO,
    ),
    "docker-registry": Kind(_DISTRIBUTION),
    "github-ghcr": Kind(_DISTRIBUTION, endpoints=_fixed_endpoint("ghcr.io", "https://ghcr.io")),
    "gitlab": Kind(_DISTRIBUTION),
    "google-gcr": Kind(
        _DISTRIBUTION,
        endpoints=_endpoint_list("gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"),
        credentials=_key_file("_json_key", "No Change"),
    ),
    "harbor": Kind(
        "replication.adapters.harbor.Harbor",
        resources=("image", "artifact"),
        name_parts=namespaces.AT_LEAST_TWO,
        by_label=True,
        by_chunk=True,
    ),
    "jfrog-artifactory": Kind(_DISTRIBUTION),
    "quay": Kind(
        _DISTRIBUTION,
        endpoints={"endpoint_type": "EndpointPatternTypeStandard", "endpoints": []},
        credentials=_key_file("json_file", ""),
    ),
}


def kind_of(type_name: str) -> Kind:
    try:
        return KINDS[type_name]
    except KeyError:
        raise BadRequest(_("unknown registry type: {type}").format(type=type_name[:64])) from None


def connect(registry: Registry, options: Options | None = None) -> Distribution:
    """The adapter for a registry, with its secret opened. Close it after use."""
    return kind_of(registry.type).adapter_class()(registry, unseal(registry.access_secret), options or Options())


class Closing:
    """Lets a block close what it opened."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
