"""User groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, parameters
from harborsite.api.answers import Answer, Created, Done, Paged, Refused
from harborsite.api.paging import paged
from harborsite.api.wire import without_empty
from harborsite.errors import NotFound
from projects.api.base import SIGNED_IN, ApiView
from projects.identity.ldap import lookup
from projects.identity.ldap.directory import canonical
from projects.models import UserGroup
from projects.services import groups


@dataclass(frozen=True, slots=True)
class Group:
    group_name: str = ""
    group_type: int = 0
    ldap_group_dn: str = ""


class ShownGroup(TypedDict):
    id: int
    group_name: str
    group_type: int
    ldap_group_dn: NotRequired[str]


def render(group: UserGroup) -> ShownGroup:
    shape: ShownGroup = {
        "id": group.pk,
        "group_name": group.group_name,
        "group_type": group.group_type,
        "ldap_group_dn": group.ldap_group_dn,
    }
    return without_empty(shape, "ldap_group_dn")


class UserGroupsView(ApiView):
    actions = {"GET": "user-group:list", "POST": "user-group:create"}

    def get(self, request: Request) -> Paged[ShownGroup]:
        rows = UserGroup.objects.order_by("-pk")
        if name := request.GET.get("group_name"):
            rows = rows.filter(group_name__icontains=name)
        if dn := request.GET.get("ldap_group_dn"):
            rows = rows.filter(ldap_group_dn=canonical(dn))
        return paged(request, rows, lambda found: [render(group) for group in found])

    def post(self, request: Request) -> Created | Refused:
        new = body.read(request, Group)
        if not new.group_name and not new.ldap_group_dn:
            return Refused()  # a group without a name
        if new.group_type == UserGroup.Type.LDAP:
            group = lookup.add_group(dn=new.ldap_group_dn, name=new.group_name, actor=self.who)
        else:
            group = groups.create_group(name=new.group_name, group_type=new.group_type, actor=self.who)
        return Created(f"/api/v2.0/usergroups/{group.pk}")


class UserGroupView(ApiView):
    actions = {"GET": "user-group:read", "PUT": "user-group:update", "DELETE": "user-group:delete"}

    def get(self, request: Request, group_id: int) -> Answer[ShownGroup]:
        return Answer(render(self._find(group_id)))

    def put(self, request: Request, group_id: int) -> Done | Refused:
        name = body.read(request, Group).group_name
        if not name:
            return Refused()  # a group without a name
        groups.rename_group(group=self._find(group_id), name=name, actor=self.who)
        return Done()

    def delete(self, request: Request, group_id: int) -> Done:
        """A group that is not there is as good as deleted."""
        if group := UserGroup.objects.filter(pk=group_id).first():
            groups.delete_group(group=group, actor=self.who)
        return Done()

    def _find(self, group_id: int) -> UserGroup:
        group = UserGroup.objects.filter(pk=group_id).first()
        if group is None:
            raise NotFound(f"the user group with id {group_id} is not found")
        return group


class UserGroupSearchView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[ShownGroup]:
        name = parameters.required(request, "groupname")
        rows = UserGroup.objects.filter(group_name__icontains=name).order_by("-pk")
        return paged(request, rows, lambda found: [render(group) for group in found])
