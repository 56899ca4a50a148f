"""Any registry that speaks the OCI distribution protocol: how it is listed, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from harborsite.outbound import OutboundError, Reader, Response
from registry.oci import grammar, media_types
from registry.oci.digest import Digest, DigestError
from registry.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, ManifestError, parse
from replication.adapters import lists
from replication.adapters import uploads as blob_uploads
from replication.adapters.base import (
    Closing,
    Content,
    Listing,
    Options,
    RawManifest,
    fallback_tag,
    kind_of,
    tagged_accessories,
)
from replication.adapters.session import Access, Session
from replication.errors import RemoteError, UnfitContent
from replication.filters import Candidate, Filters
from replication.models import Registry

ACCEPT = ", ".join(sorted(media_types.SUPPORTED))
_PAGE = 100
_REDIRECTS = 3  # blobs are often kept elsewhere
_NO_CATALOGUE = frozenset({401, 403, 404, 405})
_NO_REFERRERS = frozenset({301, 302, 303, 307, 308, 400, 404, 405, 406, 501})


class Distribution(Closing):
    """Source and target at once; Harbor and Docker Hub differ in how they are listed."""

    looks_are_cheap = False
    writes = False

    def __init__(self, registry: Registry, secret: str, options: Options) -> None:
        self.registry = registry
        self.name_parts = kind_of(registry.type).name_parts
        self.chunk_bytes = options.chunk_bytes
        access = Access(
            url=self.registry_url(registry.url),
            username=registry.access_key,
            password=secret,
            verify=not registry.insecure,
            ca_certificate=registry.ca_certificate,
        )
        self.session = Session(access)
        self._mounts: Mapping[str, str] = {}
        self._has_referrers: bool | None = None
        self._tags: dict[str, frozenset[str]] = {}

    @staticmethod
    def registry_url(url: str) -> str:
        """Where the distribution protocol is spoken, for a registry that people know as `url`."""
        return url

    def close(self) -> None:
        self.session.close()

    def check(self) -> None:
        """Raise an OutboundError unless the registry answers and takes our credentials, if we have any."""
        accept = (200, 404) if self.registry.access_key else (200, 401, 404)
        with self.session.registry("GET", "/v2/", accept=accept) as answer:
            is_page = answer.status == 200 and answer.headers.get_content_type() == "text/html"
            if (
                is_page
                or answer.status == 404
                or answer.headers.get("Docker-Distribution-Api-Version", "registry/2.0") != "registry/2.0"
            ):
                message = _("{url} is no registry: the address is that of docker login, mostly without a path")
                raise OutboundError(message.format(url=self.registry.url))

    def label_names(self) -> list[str]:
        """Labels to choose from in a filter, where the registry has any."""
        return []

    # --- reading

    def listings(self, filters: Filters) -> Iterator[Listing]:
        for name in self.repository_names(filters):
            yield self._listing(name, filters, self.candidates(name))

    def listing(self, repository: str, filters: Filters, digest: str) -> Listing | None:
        raise NotImplementedError  # events come from the local side alone

    def repository_names(self, filters: Filters) -> Iterable[str]:
        """Those of the catalogue that are meant; names written in full need none, and some registries have none."""
        literal = filters.literal_names()
        if literal is not None:
            return literal
        return (name for name in self._catalogue() if filters.means_repository(name))

    def candidates(self, repository: str) -> Iterable[Candidate]:
        return [Candidate("", (tag,)) for tag in sorted(self.tags(repository))]

    def _listing(self, name: str, filters: Filters, found: Iterable[Candidate]) -> Listing:
        selected = (filters.select(candidate) for candidate in found)
        return Listing(name, [candidate for candidate in selected if candidate is not None])

    def _catalogue(self) -> Iterator[str]:
        try:
            for page in self._lists(f"/v2/_catalog?n={_PAGE}", "repositories", ("registry:catalog:*",)):
                yield from (name for name in page if _is_name(name))
        except RemoteError as error:
            if error.answered not in _NO_CATALOGUE:
                raise
            message = _("{url} does not list its repositories; name them in full in the policy's filter")
            raise RemoteError(message.format(url=self.registry.url), status=error.answered) from error

    def tags(self, repository: str) -> frozenset[str]:
        """All tags, asked for once."""
        if repository not in self._tags:
            found: set[str] = set()
            try:
                scopes = (f"repository:{repository}:pull",)
                for page in self._lists(f"/v2/{repository}/tags/list?n={_PAGE}", "tags", scopes):
                    found.update(tag for tag in page if isinstance(tag, str) and grammar.is_tag(tag))
            except RemoteError as error:
                if error.answered != 404:
                    raise
            self._tags[repository] = frozenset(found)
        return self._tags[repository]

    def _lists(self, path: str, key: str, scopes: tuple[str, ...]) -> Iterator[list[Any]]:
        first = self.session.absolute(path)
        for page in lists.pages(lambda url: self.session.registry("GET", url, scopes=scopes), first):
            yield lists.entries(page, key, first)

    def digest_of(self, repository: str, reference: str) -> Digest | None:
        url = f"/v2/{repository}/manifests/{reference}"
        with self.session.registry(
            "HEAD", url, scopes=self._scopes(repository), accept=(200, 404), headers={"Accept": ACCEPT}
        ) as answer:
            if answer.status == 404:
                return None
            said = answer.headers.get("Docker-Content-Digest", "")
        try:
            return Digest.parse(said)
        except DigestError:
            found = self.manifest(repository, reference)  # the header is optional
            return found.digest if found else None

    def manifest(self, repository: str, reference: str) -> RawManifest | None:
        url = f"/v2/{repository}/manifests/{reference}"
        with self.session.registry(
            "GET", url, scopes=self._scopes(repository), accept=(200, 404), headers={"Accept": ACCEPT}, redirects=1
        ) as answer:
            if answer.status == 404:
                return None
            raw = answer.content(MAX_MANIFEST_BYTES)
            media_type = answer.headers.get("Content-Type", "")
        wanted = Digest.parse(reference) if ":" in reference else None
        digest = Digest.of(raw, wanted.algorithm) if wanted else Digest.of(raw)
        if wanted is not None and digest != wanted:
            message = _("the manifest {repository}@{digest} is in truth {actual}")
            raise UnfitContent(message.format(repository=repository, digest=wanted, actual=digest))
        return RawManifest(raw, media_type.partition(";")[0].strip(), digest)

    def blob(self, repository: str, digest: Digest) -> Content:
        @contextmanager
        def opened(start: int) -> Iterator[Reader]:
            headers = {"Range": f"bytes={start}-"} if start else {}
            with self.session.registry(
                "GET",
                f"/v2/{repository}/blobs/{digest}",
                scopes=self._scopes(repository),
                accept=(200, 206),
                headers=headers,
                redirects=_REDIRECTS,
            ) as answer:
                if start and answer.status == 200:
                    _skip(answer, start)
                yield answer

        return opened

    def accessories(self, repository: str, digest: Digest) -> Sequence[Candidate]:
        found = {candidate.digest: candidate for candidate in self._referrers(repository, digest)}
        tagged = tagged_accessories(digest, self.tags(repository))
        return [*found.values(), *(Candidate("", (tag,)) for tag in tagged)]

    def _referrers(self, repository: str, digest: Digest) -> Iterator[Candidate]:
        """By the referrers API, or what clients keep under the fallback tag where there is no such API."""
        found: list[Any] = []
        if self._has_referrers_api(repository, digest):
            path = f"/v2/{repository}/referrers/{digest}"
            for page in self._lists(path, "manifests", self._scopes(repository)):
                found += page
        elif fallback_tag(digest) in self.tags(repository):
            found = self._kept_list(repository, digest)
        for entry in found:
            if isinstance(entry, dict) and _is_digest(entry.get("digest")):
                yield Candidate(str(entry["digest"]))

    def _has_referrers_api(self, repository: str, digest: Digest) -> bool:
        """Asked once. Registries without it have many ways to say so, a page for people among them."""
        if self._has_referrers is None:
            url = f"/v2/{repository}/referrers/{digest}"
            accept = (200, *_NO_REFERRERS)
            with self.session.registry("GET", url, scopes=self._scopes(repository), accept=accept) as answer:
                self._has_referrers = answer.status == 200 and "json" in answer.headers.get("Content-Type", "json")
        return self._has_referrers

    def _kept_list(self, repository: str, digest: Digest) -> list[Any]:
        """What is listed under the fallback tag."""
        kept = self.manifest(repository, fallback_tag(digest))
        if kept is None:
            return []
        try:
            parse(kept.raw, kept.media_type)
        except ManifestError as error:
            message = _("the manifest {name} is not valid: {reason}")
            name = f"{repository}:{fallback_tag(digest)}"
            raise UnfitContent(message.format(name=name, reason=error)) from None
        return json.loads(kept.raw).get("manifests") or []

    def other_holders(self, repository: str, digests: Iterable[str]) -> Mapping[str, Sequence[str]]:
        return {}

    # --- writing

    def prepare(self, repository: str, *, public: bool) -> None:
        """Repositories come into being with their first push."""

    def is_empty(self, repository: str) -> bool:
        url = f"/v2/{repository}/tags/list?n=1"
        with self.session.registry("GET", url, scopes=self._scopes(repository), accept=(200, 404)) as answer:
            return answer.status == 404

    def has_blob(self, repository: str, digest: Digest) -> bool:
        url = f"/v2/{repository}/blobs/{digest}"
        with self.session.registry(
            "HEAD", url, scopes=self._scopes(repository), accept=(200, 404), redirects=_REDIRECTS
        ) as answer:
            return answer.status == 200

    def mount_from(self, sources: Mapping[str, str]) -> None:
        self._mounts = sources

    def mount_source(self, digest: Digest) -> str | None:
        """Where to mount from; the empty name leaves it to the registry, None does not try."""
        return self._mounts.get(str(digest))

    def push_blob(self, repository: str, blob: Descriptor, content: Content, uploads: MutableMapping[str, str]) -> int:
        return blob_uploads.push(self, repository, blob, content, uploads)

    def push_manifest(self, repository: str, manifest: RawManifest, tags: Sequence[str]) -> None:
        for reference in tags or (str(manifest.digest),):
            with self.session.registry(
                "PUT",
                f"/v2/{repository}/manifests/{reference}",
                scopes=self.push_scopes(repository),
                accept=(200, 201, 202),
                headers={"Content-Type": manifest.media_type},
                body=manifest.raw,
            ) as answer:
                said = answer.headers.get("Docker-Content-Digest", str(manifest.digest))
                if said != str(manifest.digest):
                    raise UnfitContent(_("the target calls {digest} {said}").format(digest=manifest.digest, said=said))

    def list_accessory(self, repository: str, subject: Digest, accessory: dict[str, Any]) -> None:
        """Registries without the referrers API leave it to the client to keep a list under a tag."""
        if self._has_referrers_api(repository, subject):
            return
        listed = self._kept_list(repository, subject)
        if any(entry["digest"] == accessory["digest"] for entry in listed):
            return
        index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [*listed, accessory]}
        raw = json.dumps(index, separators=(",", ":")).encode()
        made = RawManifest(raw, media_types.OCI_INDEX, Digest.of(raw))
        self.push_manifest(repository, made, (fallback_tag(subject),))

    def delete_artifact(self, repository: str, digest: Digest) -> None:
        self._delete(repository, str(digest))

    def delete_tag(self, repository: str, tag: str) -> None:
        self._delete(repository, tag)

    def _delete(self, repository: str, reference: str) -> None:
        url = f"/v2/{repository}/manifests/{reference}"
        self.session.registry(
            "DELETE", url, scopes=(f"repository:{repository}:pull,push,delete",), accept=(200, 202, 204, 404)
        ).close()

    def push_scopes(self, repository: str) -> tuple[str, ...]:
        sources = sorted({name for name in self._mounts.values() if name and name != repository})
        return (f"repository:{repository}:pull,push", *(f"repository:{name}:pull" for name in sources))

    def _scopes(self, repository: str) -> tuple[str, ...]:
        """A reader asks for less than the writer that this session may also be."""
        return self.push_scopes(repository) if self.writes else (f"repository:{repository}:pull",)


def _skip(stream: Response, count: int) -> None:
    """The server ignored the range."""
    while count and (piece := stream.read(min(count, 1024 * 1024))):
        count -= len(piece)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and grammar.is_repository_name(value)


def _is_digest(value: object) -> bool:
    try:
        Digest.parse(str(value))
    except DigestError:
        return False
    return True
