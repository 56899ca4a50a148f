"""Members of a project, and the groups that may be members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from rest_framework.request import Request

from harborsite.api import body
from harborsite.api.answers import Answer, Created, Done, Paged
from harborsite.api.listing import Listing, listed
from harborsite.api.paging import Page
from harborsite.errors import BadRequest, NotFound
from projects.api.base import ProjectView
from projects.identity.ldap import lookup
from projects.models import Member, User, UserGroup
from projects.permissions import ROLE_ACTIONS, Role
from projects.services import groups, members


@dataclass(frozen=True, slots=True)
class UserReference:
    user_id: int = 0
    username: str = ""


@dataclass(frozen=True, slots=True)
class GroupReference:
    id: int = 0
    group_name: str = ""
    group_type: int = 0
    ldap_group_dn: str = ""


@dataclass(frozen=True, slots=True)
class NewMember:
    role_id: int = 0
    member_user: UserReference | None = None
    member_group: GroupReference | None = None


@dataclass(frozen=True, slots=True)
class RoleRequest:
    role_id: int = 0


class ShownMember(TypedDict):
    id: int
    project_id: int
    entity_id: int
    entity_name: str
    entity_type: str
    role_id: int
    role_name: str


def render(member: Member) -> ShownMember:
    return {
        "id": member.pk,
        "project_id": member.project_id,
        "entity_id": member.entity_id,
        "entity_name": member.entity_name,
        "entity_type": member.entity_type,
        "role_id": member.role,
        "role_name": Role(member.role).wire_name,
    }


def _of_project(project: int) -> QuerySet[Any]:
    rows = Member.objects.filter(project=project).select_related("user", "group")
    return rows.annotate(entity=Coalesce("user__username", "group__group_name"))


_LISTING = Listing(_of_project, {}, ("entity",))


class MembersView(ProjectView):
    actions = {"GET": "member:list", "POST": "member:create"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownMember]:
        """The total does not know the filter by name: so Harbor's clients have it."""
        name = request.GET.get("entityname")
        if not name:
            return listed(request, _LISTING, lambda found: [render(member) for member in found], self.project.pk)
        page, rows = Page.of(request), _of_project(self.project.pk).filter(entity=name).order_by("entity", "pk")
        total = self.project.members.count()
        start, stop = page.bounds
        return Paged([render(member) for member in rows[start:stop]], headers=page.headers(request, total))

    def post(self, request: Request, project_name_or_id: str) -> Created:
        new = body.read(request, NewMember)
        if new.role_id not in ROLE_ACTIONS:
            raise BadRequest("Failed to create project member, role is not valid")
        user = self._user(new.member_user) if new.member_user else None
        group = self._group(new.member_group) if new.member_group and user is None else None
        if user is None and group is None:
            raise BadRequest("at least one of member_user or member_group must be provided")
        member = members.add_member(project=self.project, role=new.role_id, actor=self.who, user=user, group=group)
        return Created(f"/api/v2.0/projects/{project_name_or_id}/members/{member.pk}")

    def _user(self, wanted: UserReference) -> User | None:
        if not (wanted.user_id or wanted.username):
            return None
        by = {"pk": wanted.user_id} if wanted.user_id else {"username": wanted.username}
        user = User.objects.living().filter(**by).first()
        if user is None and not wanted.user_id:
            user = lookup.bring_in_person(username=wanted.username, actor=self.who)
        if user is None:
            raise NotFound(f"user {wanted.username or wanted.user_id} is not found")
        return user

    def _group(self, wanted: GroupReference) -> UserGroup | None:
        if wanted.id:
            group = UserGroup.objects.filter(pk=wanted.id).first()
            if group is None:
                raise NotFound(f"the user group with id {wanted.id} is not found")
            return group
        if not (wanted.group_name or wanted.ldap_group_dn):
            return None
        if wanted.ldap_group_dn:
            return lookup.bring_in_group(dn=wanted.ldap_group_dn, name=wanted.group_name, actor=self.who)
        return groups.onboard(name=wanted.group_name, group_type=wanted.group_type, actor=self.who)


class MemberView(ProjectView):
    actions = {"GET": "member:read", "PUT": "member:update", "DELETE": "member:delete"}

    def get(self, request: Request, project_name_or_id: str, mid: int) -> Answer[ShownMember]:
        member = self._find(mid)
        if member is None:
            raise NotFound(f"the project member is not found, project id {self.project.pk}, member id {mid}")
        return Answer(render(member))

    def put(self, request: Request, project_name_or_id: str, mid: int) -> Done:
        """Changing or removing a member who is not there changes nothing, and is no error."""
        role = body.read(request, RoleRequest).role_id
        if member := self._find(mid):
            members.set_role(member=member, role=role, actor=self.who)
        return Done()

    def delete(self, request: Request, project_name_or_id: str, mid: int) -> Done:
        if member := self._find(mid):
            members.remove_member(member=member, actor=self.who)
        return Done()

    def _find(self, mid: int) -> Member | None:
        """Only among this project's members, whatever the number says."""
        return self.project.members.select_related("user", "group", "project").filter(pk=mid).first()
