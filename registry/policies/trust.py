"""Content trust: a project that asks for signatures gives nothing to a puller that has none.

A signature is told by its type. Whose it is, and whether it holds, only the puller can say, who has the key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef

from harborsite.errors import PreconditionFailed
from projects.models import ProjectMetadata
from registry.models import Artifact, ArtifactChild

MAKERS: Mapping[str, str] = {"signature.cosign": "cosign", "signature.notation": "notation"}  # of accessories by type
DEMANDS: Mapping[str, str] = {"enable_content_trust_cosign": "cosign", "enable_content_trust": "notation"}


class NotSigned(PreconditionFailed):
    """Harbor's answer to whoever pulls what a policy of the project holds back."""

    code, default_message = "PROJECTPOLICYVIOLATION", "The image is not signed."


def asked_of(project: str) -> Exists:
    """In a query: whether the project at this path asks for signatures."""
    return Exists(ProjectMetadata.objects.filter(project=OuterRef(project), name__in=list(DEMANDS), value="true"))


def check_pull(*, project_id: int, repository_id: int, artifact_id: int, digest: str) -> None:
    """Raise NotSigned where a signature that the project asks for is missing. Signatures themselves need none."""
    settings = ProjectMetadata.objects.filter(project=project_id, name__in=list(DEMANDS), value="true")
    named = set(settings.values_list("name", flat=True))
    wanted = [maker for name, maker in DEMANDS.items() if name in named]
    if not wanted or Artifact.objects.filter(pk=artifact_id, accessory_type__in=list(MAKERS)).exists():
        return
    signed = who_signed(repository_id, digest)
    if not signed.issuperset(wanted):
        # An index also by a part, as each part is asked when it is pulled.
        parts = ArtifactChild.objects.filter(artifact=artifact_id).values("digest")
        signed = signed.union(*signers(repository_id, parts).values())
    for maker in wanted:
        if maker not in signed:
            raise NotSigned(f"The image is not signed by {maker}.")


def who_signed(repository_id: int, digest: str) -> set[str]:
    """Who signed the artifact, or an index that it is a part of; two queries for each level of indexes."""
    found: set[str] = set()
    level = [digest]
    while level:
        found = found.union(*signers(repository_id, level).values())
        listing = ArtifactChild.objects.filter(artifact__repository=repository_id, digest__in=level)
        level = list(listing.values_list("artifact__digest", flat=True).distinct())
    return found


def signers(repository_id: int, digests: Any) -> Mapping[str, set[str]]:
    """Who signed each of these themselves; a list of digests or a query for them."""
    found: dict[str, set[str]] = defaultdict(set)
    rows = Artifact.objects.order_by().filter(repository=repository_id, subject_digest__in=digests)
    for subject, kind in rows.filter(accessory_type__in=list(MAKERS)).values_list("subject_digest", "accessory_type"):
        found[subject].add(MAKERS[kind])
    return found
