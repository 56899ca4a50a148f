"""Groups of users, as sign-in sources know them."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Conflict
from harborsite.principal import Principal
from projects.models import UserGroup

MAX_NAME = 255


def check_name(name: str, group: UserGroup | None = None) -> None:
    """Raise where another group has the name that `group`, or a new one of a directory, is to have."""
    kind = group.group_type if group else UserGroup.Type.LDAP
    found = UserGroup.objects.filter(group_type=kind, group_name=name).first()
    if found and found != group:
        raise _taken(name)


def create_group(*, name: str, group_type: int, actor: Principal | str, dn: str = "", source: str = "") -> UserGroup:
    """Make a group known before anybody of it has signed in.

    A group of a directory is what `dn` names in `source`; whether it is there has been looked up before.
    """
    if group_type == UserGroup.Type.LDAP and not dn:
        raise BadRequest(_("LDAP Group DN is not found: DN:{dn}").format(dn=dn))
    _check(name, dn)
    if dn and UserGroup.objects.filter(group_type=group_type, ldap_group_dn=dn, source=source).exists():
        raise _duplicate(name, group_type, dn)
    group = UserGroup(group_name=name, group_type=group_type, ldap_group_dn=dn, source=source)
    with transaction.atomic():
        try:
            with transaction.atomic():
                group.save(force_insert=True)
        except IntegrityError:
            raise _duplicate(name, group_type, dn) from None
        _record(actor, Operation.CREATE, group)
    return group


def onboard(*, name: str, group_type: int, actor: Principal | str) -> UserGroup:
    """The group of this name; made where there is none."""
    group = UserGroup.objects.filter(group_type=group_type, group_name=name).first()
    return group or create_group(name=name, group_type=group_type, actor=actor)


def onboard_directory(*, dn: str, name: str, source: str, actor: Principal | str) -> UserGroup:
    """The group that `dn` names in `source`; made where there is none, named after the DN where the name is taken."""
    kind = UserGroup.Type.LDAP
    known = UserGroup.objects.filter(group_type=kind, ldap_group_dn=dn, source=source).first()
    if known is not None:
        return known
    if not name or UserGroup.objects.filter(group_type=kind, group_name=name).exists():
        name = dn
    return create_group(name=name[:MAX_NAME], group_type=kind, dn=dn, source=source, actor=actor)


def rename_group(*, group: UserGroup, name: str, actor: Principal) -> UserGroup:
    _check(name, "")
    group.group_name = name
    with transaction.atomic():
        try:
            with transaction.atomic():
                group.save(update_fields=["group_name", "update_time"])
        except IntegrityError:
            raise _taken(name) from None
        _record(actor, Operation.UPDATE, group)
    return group


def delete_group(*, group: UserGroup, actor: Principal) -> None:
    """The group's memberships go with it."""
    with transaction.atomic():
        _record(actor, Operation.DELETE, group)
        group.delete()


def _taken(name: str) -> Conflict:
    return Conflict(_("a user group named {name} already exists").format(name=name))


def _duplicate(name: str, group_type: int, dn: str) -> Conflict:
    text = _("duplicate user group, group name:{name}, group type: {type}, ldap group DN: {dn}")
    return Conflict(text.format(name=name, type=group_type, dn=dn))


def _check(name: str, dn: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or len(dn) > 512:
        raise BadRequest(_("the group's name is empty or too long"))


def _record(actor: Principal | str, operation: Operation, group: UserGroup) -> None:
    audit.record(actor=actor, operation=operation, resource_type=ResourceType.USER_GROUP, resource=group.group_name)
