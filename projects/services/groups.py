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


def create_group(*, name: str, group_type: int, dn: str, actor: Principal | str) -> UserGroup:
    """Make a group known before anybody of it has signed in."""
    if group_type == UserGroup.Type.LDAP and not dn:
        raise BadRequest(_("LDAP Group DN is not found: DN:{dn}").format(dn=dn))
    _check(name, dn)
    group = UserGroup(group_name=name, group_type=group_type, ldap_group_dn=dn)
    with transaction.atomic():
        try:
            with transaction.atomic():
                group.save(force_insert=True)
        except IntegrityError:
            raise Conflict(
                _("duplicate user group, group name:{name}, group type: {type}, ldap group DN: {dn}").format(
                    name=name, type=group_type, dn=dn
                )
            ) from None
        _record(actor, Operation.CREATE, group)
    return group


def onboard(*, name: str, group_type: int, dn: str, actor: Principal | str) -> UserGroup:
    """The group of this name, or of this DN in a directory; made where there is none."""
    known = {"ldap_group_dn": dn} if dn else {"group_name": name}
    group = UserGroup.objects.filter(group_type=group_type, **known).first()
    return group or create_group(name=name or dn[:MAX_NAME], group_type=group_type, dn=dn, actor=actor)


def rename_group(*, group: UserGroup, name: str, actor: Principal) -> UserGroup:
    _check(name, "")
    group.group_name = name
    with transaction.atomic():
        try:
            with transaction.atomic():
                group.save(update_fields=["group_name", "update_time"])
        except IntegrityError:
            raise Conflict(_("a user group named {name} already exists").format(name=name)) from None
        _record(actor, Operation.UPDATE, group)
    return group


def delete_group(*, group: UserGroup, actor: Principal) -> None:
    """The group's memberships go with it."""
    with transaction.atomic():
        _record(actor, Operation.DELETE, group)
        group.delete()


def _check(name: str, dn: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or len(dn) > 512:
        raise BadRequest(_("the group's name is empty or too long"))


def _record(actor: Principal | str, operation: Operation, group: UserGroup) -> None:
    audit.record(actor=actor, operation=operation, resource_type=ResourceType.USER_GROUP, resource=group.group_name)
