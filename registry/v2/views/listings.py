"""What there is: the version check, the catalogue, tags and referrers; and the answer to every other address."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from registry.auth.access import Target
from registry.errors import BadDigest
from registry.oci.digest import Digest, DigestError
from registry.oci.media_types import OCI_INDEX
from registry.services import referrers, tags
from registry.v2.base import Page, RegistryView


class PingView(RegistryView):
    """Whether this is a registry, and whether the client may come in."""

    target = Target.PING

    def get(self, request: Request) -> Response:
        return Response({})


class CatalogView(RegistryView):
    target = Target.CATALOG

    def get(self, request: Request) -> Response:
        page = Page(request)
        names, more = tags.catalog(last=page.last, limit=page.limit)
        return page.answer("/v2/_catalog", {"repositories": names}, names, more)


class TagsView(RegistryView):
    def get(self, request: Request, name: str) -> Response:
        page = Page(request)
        names, more = tags.names(repository_name=self.repository, last=page.last, limit=page.limit)
        return page.answer(f"/v2/{name}/tags/list", {"name": name, "tags": names}, names, more)


class ReferrersView(RegistryView):
    def get(self, request: Request, name: str, digest: str) -> Response:
        try:
            subject = Digest.parse(digest)
        except DigestError:
            raise BadDigest(f"unsupported digest {digest[:200]}: invalid checksum digest format") from None
        artifact_type = request.query_params.get("artifactType", "")
        found = referrers.find(repository_name=self.repository, digest=subject, artifact_type=artifact_type)
        headers = {"X-Total-Count": str(found.total)}
        if artifact_type:
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.descriptors}
        return Response(index, headers=headers, content_type=OCI_INDEX)


class UnknownView(RegistryView):
    """Nobody is admitted to an address that means nothing."""

    target = None
