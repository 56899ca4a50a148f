"""Projects from their making to their end."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Forbidden
from harborsite.principal import Principal
from projects import names, params
from projects.errors import BadProjectName, ProjectExists, ProjectNotEmpty
from projects.models import Member, Project, ProjectMetadata, Quota, Robot, User
from projects.permissions import Role, can_system
from projects.services import quotas

MAX_VALUE = 255


def may_create_project(actor: Principal) -> bool:
    """Whether the restriction on making projects lets `actor` through."""
    if isinstance(actor, User):
        return actor.is_superuser or params.get(params.PROJECT_CREATION_RESTRICTION) == "everyone"
    return can_system(actor, "project:create")


def check_new_name(name: str) -> None:
    """Raise unless a project could be made under this name."""
    if not names.is_project_name(name):
        raise BadProjectName
    if Project.objects.filter(name=name).exists():
        raise _exists(name)


def create_project(
    *,
    name: str,
    public: bool,
    actor: Principal,
    storage_limit: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Project:
    """Make a project with its quota; a person who makes one becomes its administrator."""
    if not names.is_project_name(name):
        raise BadProjectName
    if not may_create_project(actor):
        raise Forbidden(_("Only system admin can create project"))
    may_set_limit = can_system(actor, "quota:update")
    hard = storage_limit if storage_limit and may_set_limit else params.get(params.STORAGE_PER_PROJECT)
    quotas.check_limit(hard)
    with transaction.atomic():
        project = Project(name=name, public=public, owner=_owner(actor))
        try:
            with transaction.atomic():
                project.save(force_insert=True)
        except IntegrityError:
            raise _exists(name) from None
        Quota.objects.create(project=project, hard=hard)
        _write_metadata(project, metadata or {})
        if isinstance(actor, User):
            Member.objects.create(project=project, user=actor, role=Role.PROJECT_ADMIN)
            actor.refresh_rights()
        _record(actor, Operation.CREATE, project)
    return project


def update_project(
    *,
    project: Project,
    actor: Principal | str,
    public: bool | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Project:
    """Change visibility and settings; settings that are not named stay."""
    with transaction.atomic():
        if public is not None:
            project.public = public
        project.save(update_fields=["public", "update_time"])
        _write_metadata(project, metadata or {})
        _record(actor, Operation.UPDATE, project)
    return project


def remove_metadata(*, project: Project, name: str, actor: Principal | str) -> None:
    """Back to the default of one setting; of `public`, which is private."""
    with transaction.atomic():
        if name == "public":
            project.public = False
        project.save(update_fields=["public", "update_time"])
        project.metadata.filter(name=name).delete()
        _record(actor, Operation.UPDATE, project)


def delete_project(*, project: Project, actor: Principal | str) -> None:
    """Remove an empty project with its members, robots and quota, and every grant of its name.

    Grants go by name, so they must not outlive the project: a later one of the same name is another.
    """
    if project.repositories.exists():
        raise ProjectNotEmpty
    with transaction.atomic():
        for robot in Robot.objects.select_for_update().filter(level=Robot.Level.SYSTEM):
            kept = [grant for grant in robot.permissions if grant["namespace"] != project.name]
            if len(kept) != len(robot.permissions):
                robot.permissions = kept
                robot.save(update_fields=["permissions", "update_time"])
        _record(actor, Operation.DELETE, project)
        try:
            with transaction.atomic():
                project.delete()
        except (ProtectedError, IntegrityError):  # a push was faster
            raise ProjectNotEmpty from None


def _owner(actor: Principal) -> User:
    """The person a project belongs to; a robot's projects are the first administrator's."""
    if isinstance(actor, User):
        return actor
    return User.objects.living().filter(sysadmin_flag=True).order_by("pk")[0]


def _write_metadata(project: Project, metadata: Mapping[str, str]) -> None:
    for name, value in metadata.items():
        if len(value) > MAX_VALUE:
            raise BadRequest(_("invalid value: {value}").format(value=value[:40]))
        ProjectMetadata.objects.update_or_create(project=project, name=name, defaults={"value": value})


def _exists(name: str) -> ProjectExists:
    return ProjectExists(_("The project named {name} already exists").format(name=name))


def _record(actor: Principal | str, operation: Operation, project: Project) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.PROJECT,
        resource=project.name,
        project_id=project.pk,
    )
