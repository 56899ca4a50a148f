"""What people say about a repository."""

from __future__ import annotations

from django.db import transaction

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.principal import Principal
from registry.models import Repository


def describe(*, repository: Repository, description: str, actor: Principal | str) -> Repository:
    """Replace the description; when the content was last changed stays as it is."""
    with transaction.atomic():
        repository.description = description
        repository.save(update_fields=["description"])
        audit.record(
            actor=actor,
            operation=Operation.UPDATE,
            resource_type=ResourceType.REPOSITORY,
            resource=repository.name,
            project_id=repository.project_id,
        )
    return repository
