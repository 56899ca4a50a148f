"""The vulnerabilities that a project or the system lets pass."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from projects.models import CVEAllowlist, Project

MAX_ITEMS, MAX_ID = 10_000, 64


def set_allowlist(
    *, project: Project | None, items: Sequence[str], expires_at: int | None, actor: Principal
) -> CVEAllowlist:
    """Replace the list of `project`, or of the system for None."""
    identifiers = [item.strip() for item in items]
    if any(not 1 <= len(item) <= MAX_ID for item in identifiers):
        raise BadRequest(_("a CVE identifier is empty or too long"))
    if len(set(identifiers)) != len(identifiers):
        raise BadRequest(_("a CVE identifier is in the list twice"))
    if len(identifiers) > MAX_ITEMS:
        raise BadRequest(_("the CVE allowlist is too long"))
    with transaction.atomic():
        kept, _made = CVEAllowlist.objects.update_or_create(
            project=project, defaults={"items": identifiers, "expires_at": expires_at}
        )
        audit.record(
            actor=actor,
            operation=Operation.UPDATE,
            resource_type=ResourceType.PROJECT if project else ResourceType.CONFIGURATION,
            resource=project.name if project else "CVE allowlist",
            project_id=project.pk if project else None,
            data={"change": "CVE allowlist"},
        )
    return kept
