"""Manifests by tag and by digest."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from registry.errors import ManifestTooLarge, ManifestUnknown, TagInvalid
from registry.models import Artifact, Tag
from registry.oci import grammar
from registry.oci.digest import Digest
from registry.oci.manifest import MAX_MANIFEST_BYTES
from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry.policies import trust
from registry.services import deletes, manifests, pulls, tags
from registry.v2.base import RegistryView, empty, not_modified, reference_from
from registry.v2.body import read_all

# Harbor's storage hands OCI's types only to clients that say they know them, and Docker's to everybody.
_OCI_ONLY = {
    OCI_MANIFEST: "OCI manifest found, but accept header does not support OCI manifests",
    OCI_INDEX: "OCI index found, but accept header does not support OCI indexes",
}
_ANYTHING = frozenset({"*/*", "application/*"})


class ManifestView(RegistryView):
    def get(self, request: Request, name: str, reference: str) -> HttpResponse:
        wanted = reference_from(reference)
        stored = manifests.find(repository_name=self.repository, reference=wanted)
        if stored.asks_for_signature and not self._is_signing():
            trust.check_pull(
                project_id=stored.project_id,
                repository_id=stored.repository_id,
                artifact_id=stored.artifact_id,
                digest=stored.digest,
            )
        etag = f'"{stored.digest}"'
        headers = {"Docker-Content-Digest": stored.digest, "ETag": etag}
        if not_modified(request, etag):
            return empty(304, headers)
        _require_acceptable(request.META.get("HTTP_ACCEPT", ""), stored.media_type)
        headers["Content-Type"] = stored.media_type
        if request.method == "HEAD":
            return empty(200, headers | {"Content-Length": str(len(stored.raw))})
        pulls.note(
            repository_id=stored.repository_id,
            repository_name=self.repository,
            project_id=stored.project_id,
            artifact_id=stored.artifact_id,
            digest=stored.digest,
            tag_id=stored.tag_id,
            tag="" if isinstance(wanted, Digest) else wanted,
            username=self.who.username,
        )
        return HttpResponse(stored.raw, headers=headers)

    def _is_signing(self) -> bool:
        """Whoever signs reads first what is to be signed."""
        client = self.request.META.get("HTTP_USER_AGENT", "")
        return any(maker in client for maker in trust.MAKERS.values()) and self.may_push()

    def put(self, request: Request, name: str, reference: str) -> HttpResponse:
        wanted = reference_from(reference)
        names = request.query_params.getlist("tag")
        for tag in names:
            if not grammar.is_tag(tag):
                raise TagInvalid(f"invalid tag {tag[:200]!r}")
        raw = read_all(request._request, MAX_MANIFEST_BYTES)
        if raw is None:
            raise ManifestTooLarge
        pushed = manifests.push(
            project=self.project,
            repository_name=self.repository,
            reference=wanted,
            raw=raw,
            content_type=request.META.get("CONTENT_TYPE", ""),
            actor=self.who,
            tags=names,
        )
        digest = pushed.artifact.digest
        headers = {"Location": self.url(f"manifests/{digest}"), "Docker-Content-Digest": digest}
        if pushed.subject:
            headers["OCI-Subject"] = str(pushed.subject)
        if names:
            headers["OCI-Tag"] = ", ".join(pushed.tags)
        return empty(201, headers)

    def delete(self, request: Request, name: str, reference: str) -> HttpResponse:
        wanted = reference_from(reference)
        if isinstance(wanted, Digest):
            rows = Artifact.objects.filter(repository__name=self.repository, digest=str(wanted))
            artifact = rows.select_related("repository__project").defer("manifest").first()
            if artifact is None:
                raise manifests.not_found(self.repository, wanted)
            deletes.delete_artifact(artifact=artifact, actor=self.who)
        else:
            named = Tag.objects.filter(repository__name=self.repository, name=wanted)
            tag = named.select_related("repository", "artifact").defer("artifact__manifest").first()
            if tag is None:
                raise manifests.not_found(self.repository, wanted)
            tags.delete(tag=tag, actor=self.who)
        return empty(202, {})


def _require_acceptable(accept: str, media_type: str) -> None:
    if not is_acceptable(accept, media_type):
        raise ManifestUnknown(_OCI_ONLY[media_type])


def is_acceptable(accept: str, media_type: str) -> bool:
    """Whether a client that sends `accept` may be given a manifest of this type."""
    if media_type not in _OCI_ONLY:
        return True
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return media_type in accepted or bool(accepted & _ANYTHING)
