"""Content trust: a project that asks for signatures gives nothing to a puller that has none.

A signature is told by its type. Whose it is, and whether it holds, only the puller can say, who has the key.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Exists, OuterRef

from harborsite.errors import PreconditionFailed
from projects.models import ProjectMetadata
from registry.models import Artifact, ArtifactChild

# Setting of a project to the type of the accessory that it asks for, and who makes those.
DEMANDS: Mapping[str, tuple[str, str]] = {
    "enable_content_trust_cosign": ("signature.cosign", "cosign"),
    "enable_content_trust": ("signature.notation", "notation"),
}
SIGNATURES = frozenset(kind for kind, _maker in DEMANDS.values())


class NotSigned(PreconditionFailed):
    """Harbor's answer to whoever pulls what a policy of the project holds back."""

    code, default_message = "PROJECTPOLICYVIOLATION", "The image is not signed."


def asked_of(project: str) -> Exists:
    """In a query: whether the project at this path asks for signatures."""
    return Exists(ProjectMetadata.objects.filter(project=OuterRef(project), name__in=list(DEMANDS), value="true"))


def check_pull(*, project_id: int, repository_id: int, artifact_id: int, digest: str) -> None:
    """Raise NotSigned where a signature that the project asks for is missing. Signatures themselves need none."""
    demands = ProjectMetadata.objects.filter(project=project_id, name__in=list(DEMANDS), value="true")
    wanted = [DEMANDS[name] for name in demands.values_list("name", flat=True)]
    if not wanted or Artifact.objects.filter(pk=artifact_id, accessory_type__in=SIGNATURES).exists():
        return
    for kind, maker in wanted:
        if not _is_signed(repository_id, artifact_id, digest, kind):
            raise NotSigned(f"The image is not signed by {maker}.")


def _is_signed(repository_id: int, artifact_id: int, digest: str, kind: str) -> bool:
    """By itself or as a part of an index that is; an index also by a part, as each part is asked when it is pulled."""
    parts = ArtifactChild.objects.filter(artifact=artifact_id).values("digest")
    signatures = Artifact.objects.filter(repository=repository_id, accessory_type=kind)
    if signatures.filter(subject_digest__in=parts).exists():
        return True
    fresh = [digest]
    while fresh:
        if signatures.filter(subject_digest__in=fresh).exists():
            return True
        listing = ArtifactChild.objects.filter(artifact__repository=repository_id, digest__in=fresh)
        fresh = list(listing.values_list("artifact__digest", flat=True).distinct())
    return False
