"""Labels: made, changed, removed."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Conflict
from harborsite.principal import Principal
from projects.models import Label, Project

MAX_NAME, MAX_COLOR, MAX_DESCRIPTION = 128, 16, 1024


def check_name(name: str, project: Project | None, label: Label | None = None) -> None:
    """Raise where another label of this project, or of the system, has this name."""
    found = Label.objects.filter(space=project.pk if project else 0, name=name).first()
    if found and found != label:
        raise _exists(name)


def create_label(*, name: str, description: str, color: str, actor: Principal, project: Project | None = None) -> Label:
    """A label of `project`, or of the whole system."""
    _check(name, description, color)
    label = Label(
        name=name,
        description=description,
        color=color,
        scope=Label.Scope.PROJECT if project else Label.Scope.GLOBAL,
        project=project,
        space=project.pk if project else 0,
    )
    with transaction.atomic():
        _save(label)
        _record(actor, Operation.CREATE, label)
    return label


def update_label(*, label: Label, name: str, description: str, color: str, actor: Principal) -> Label:
    _check(name, description, color)
    label.name, label.description, label.color = name, description, color
    with transaction.atomic():
        _save(label)
        _record(actor, Operation.UPDATE, label)
    return label


def delete_label(*, label: Label, actor: Principal) -> None:
    """Remove a label from the list, and from every artifact that has it."""
    with transaction.atomic():
        _record(actor, Operation.DELETE, label)
        label.delete()


def _check(name: str, description: str, color: str) -> None:
    if not 1 <= len(name) <= MAX_NAME:
        raise BadRequest(_("label name must be 1-128 characters long"))
    if len(color) > MAX_COLOR or len(description) > MAX_DESCRIPTION:
        raise BadRequest(_("label color or description is too long"))


def _save(label: Label) -> None:
    try:
        with transaction.atomic():
            label.save()
    except IntegrityError:
        raise _exists(label.name) from None


def _exists(name: str) -> Conflict:
    return Conflict(_("label {name} already exists").format(name=name))


def _record(actor: Principal, operation: Operation, label: Label) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.LABEL,
        resource=label.name,
        project_id=label.project_id,
    )
