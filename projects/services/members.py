"""Who works in a project, and as what."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from projects.errors import MemberExists
from projects.models import Member, Project, User, UserGroup
from projects.models.user import ADMIN_ID
from projects.permissions import ROLE_ACTIONS

_MOST_SUGGESTED = 10


def add_member(
    *,
    project: Project,
    role: int,
    actor: Principal | str,
    user: User | None = None,
    group: UserGroup | None = None,
) -> Member:
    """Give a user or a group (one of the two) a role."""
    if (user is None) == (group is None):
        raise BadRequest(_("a member is either a user or a group"))
    _check_role(role)
    member = Member(project=project, user=user, group=group, role=role)
    with transaction.atomic():
        try:
            with transaction.atomic():
                member.save(force_insert=True)
        except IntegrityError:
            raise MemberExists from None
        _record(actor, Operation.CREATE, member)
    return member


def set_role(*, member: Member, role: int, actor: Principal | str) -> Member:
    _check_role(role)
    member.role = role
    with transaction.atomic():
        member.save(update_fields=["role", "update_time"])
        _record(actor, Operation.UPDATE, member)
    return member


def remove_member(*, member: Member, actor: Principal | str) -> None:
    with transaction.atomic():
        _record(actor, Operation.DELETE, member)
        member.delete()


def _check_role(role: int) -> None:
    if role not in ROLE_ACTIONS:
        raise BadRequest(_("Role ID {role} is not valid").format(role=role))


def candidates(*, project: Project, prefix: str) -> list[str]:
    """Names that begin with `prefix`, of people who could be added; at most 10, of nobody for an empty one.

    The built-in administrator is in no list, as in the search of the REST API.
    """
    if not prefix:
        return []
    there = project.members.filter(user__isnull=False).values("user")
    people = User.objects.living().filter(username__istartswith=prefix, is_active=True)
    others = people.exclude(pk=ADMIN_ID).exclude(pk__in=there)
    return list(others.order_by("username").values_list("username", flat=True)[:_MOST_SUGGESTED])


def _record(actor: Principal | str, operation: Operation, member: Member) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.MEMBER,
        resource=member.entity_name,
        project_id=member.project_id,
        data={"entity_type": member.entity_type, "project": member.project.name, "role": member.role},
    )
