"""Putting labels on artifacts and taking them off."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import Conflict, NotFound
from harborsite.principal import Principal
from projects.models import Label
from registry.models import Artifact, ArtifactLabel


def add_label(*, artifact: Artifact, label_id: int, actor: Principal) -> None:
    """A label of the system or of the artifact's own project; another project's is not there."""
    label = Label.objects.filter(pk=label_id, space__in=[0, artifact.repository.project_id]).first()
    if label is None:
        raise NotFound(_("label {id} not found").format(id=label_id))
    with transaction.atomic():
        try:
            with transaction.atomic():
                ArtifactLabel.objects.create(artifact=artifact, label=label)
        except IntegrityError:
            raise Conflict(
                _("label {id} is already added to the artifact {artifact}").format(id=label_id, artifact=artifact.pk)
            ) from None
        _record(actor, Operation.CREATE, artifact, label)


def remove_label(*, artifact: Artifact, label_id: int, actor: Principal) -> None:
    found = ArtifactLabel.objects.select_related("label").filter(artifact=artifact, label_id=label_id).first()
    if found is None:
        raise NotFound(
            _("reference with label ID {id} and artifact ID {artifact} not found").format(
                id=label_id, artifact=artifact.pk
            )
        )
    with transaction.atomic():
        _record(actor, Operation.DELETE, artifact, found.label)
        found.delete()


def _record(actor: Principal, operation: Operation, artifact: Artifact, label: Label) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.LABEL,
        resource=label.name,
        project_id=artifact.repository.project_id,
        data={"artifact": f"{artifact.repository.name}@{artifact.digest}"},
    )
