"""The Members tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import Forbidden
from harborsite.portal import scope
from harborsite.portal.forms import suggesting
from harborsite.portal.pages import ProjectPartAdmin, form_page
from harborsite.portal.templatetags.portal import moment
from projects.identity.ldap import lookup, sources
from projects.models import Member, User, UserGroup
from projects.permissions import Role
from projects.services import members


class MemberForm(forms.Form):
    """Who gets which role."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, **suggesting("candidates/")}),
    )
    role = forms.TypedChoiceField(
        label=gettext_lazy("Role"),
        coerce=int,
        choices=Role.choices,
        initial=Role.GUEST,
        widget=forms.RadioSelect,
    )


class GroupMemberForm(forms.Form):
    """Which group gets which role."""

    field_order = ["group", "role"]
    group = forms.CharField(
        label=gettext_lazy("Group"),
        max_length=512,
        help_text=gettext_lazy("Its name if it is known already, else its DN in the directory."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "list": "suggestions"}),
    )
    role = forms.TypedChoiceField(
        label=gettext_lazy("Role"), coerce=int, choices=Role.choices, initial=Role.GUEST, widget=forms.RadioSelect
    )


@admin.register(Member)
class MemberAdmin(ProjectPartAdmin[Member]):
    """The Members tab."""

    view_action = "member:list"
    list_display = ("name", "kind", "role_name", "since")
    list_filter = ("role",)
    search_fields = ("user__username", "group__group_name")
    list_select_related = ("user", "group")
    ordering = ("user__username", "group__group_name")
    list_display_links = None
    actions = ("set_role", "remove_chosen")
    action_bar = "projects/member_actions.html"
    empty_text = gettext_lazy("No member to show.")

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "projects/<str:project>/members/group/",
                self.in_project(self.new_group, "member:create"),
                name="new_group_member",
            ),
            path("projects/<str:project>/members/", self.in_project(self.members), name="members"),
            path(
                "projects/<str:project>/members/new/",
                self.in_project(self.new_member, "member:create"),
                name="new_member",
            ),
            path(
                "projects/<str:project>/members/new/candidates/",
                self.in_project(self.candidates, "member:create"),
                name="member_candidates",
            ),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Member | None = None) -> bool:
        return scope.current(request).allows("member:update")

    def has_delete_permission(self, request: HttpRequest, obj: Member | None = None) -> bool:
        return scope.current(request).allows("member:delete")

    @admin.display(description=gettext_lazy("Name"), ordering="user__username")
    def name(self, row: Member) -> str:
        return row.entity_name

    @admin.display(description=gettext_lazy("Member type"), ordering="group")
    def kind(self, row: Member) -> str:
        return _("User") if row.user_id else _("Group")

    @admin.display(description=gettext_lazy("Role"), ordering="role")
    def role_name(self, row: Member) -> str:
        return str(Role(row.role).label)

    @admin.display(description=gettext_lazy("Member since"), ordering="creation_time")
    def since(self, row: Member) -> str:
        return moment(row.creation_time)

    def members(self, request: HttpRequest) -> HttpResponse:
        here = scope.current(request)
        may_add = here.allows("member:create")
        return self.list_page(
            request,
            _("Members"),
            add_url=reverse("admin:new_member", args=[here.project.name]) if may_add else None,
            add_label=_("Add member"),
            more_links=self._more_links(here) if may_add else [],
            roles=Role.choices,
        )

    def _more_links(self, here: scope.Scope) -> list[tuple[str, str]]:
        if not sources.active():
            return []
        return [(reverse("admin:new_group_member", args=[here.project.name]), _("Add group"))]

    def new_member(self, request: HttpRequest) -> HttpResponse:
        here, user = scope.current(request), scope.signed_in(request)
        form = MemberForm(scope.posted(request))

        def save(data: Mapping[str, Any]) -> None:
            found = User.objects.living().filter(username=data["username"]).first()
            if found is None:
                found = lookup.bring_in_person(username=data["username"], actor=user)
            if found is None:
                raise Forbidden(_("There is no user {name}.").format(name=data["username"]))
            members.add_member(project=here.project, role=data["role"], actor=user, user=found)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Add member"),
            submit_label=_("Add member"),
            success=_("The member has been added."),
            next_url=reverse("admin:members", args=[here.project.name]),
            suggestions=[],
        )

    def candidates(self, request: HttpRequest) -> HttpResponse:
        """The names that fit what has been typed."""
        prefix = request.GET.get("username", "").strip()
        found = members.candidates(project=scope.current(request).project, prefix=prefix)
        return render(request, "portal/suggestions.html", {"suggestions": found})

    def new_group(self, request: HttpRequest) -> HttpResponse:
        """A group that is known by its name, or any group of a directory by its DN."""
        here, user = scope.current(request), scope.signed_in(request)
        form = GroupMemberForm(scope.posted(request))

        def save(data: Mapping[str, Any]) -> None:
            group = UserGroup.objects.filter(group_name=data["group"]).first()
            if group is None:
                group = lookup.bring_in_group(dn=data["group"], name="", actor=user)
            members.add_member(project=here.project, role=data["role"], actor=user, group=group)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Add group"),
            submit_label=_("Add group"),
            success=_("The group has been added."),
            next_url=reverse("admin:members", args=[here.project.name]),
            suggestions=UserGroup.objects.order_by("group_name").values_list("group_name", flat=True)[:200],
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Set role"))
    def set_role(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        user, role = scope.signed_in(request), request.POST.get("role", "")
        if role not in map(str, Role.values):
            self.message_user(request, _("Choose a role."), messages.ERROR)
            return

        def change(member: Member) -> None:
            self._refuse_own_row(user, member)
            members.set_role(member=member, role=int(role), actor=user)

        self.each(request, rows, change, _("{count} changed."))

    @admin.action(permissions=["delete"], description=gettext_lazy("Remove"))
    def remove_chosen(self, request: HttpRequest, rows: QuerySet[Member]) -> HttpResponse | None:
        user = scope.signed_in(request)

        def remove(member: Member) -> None:
            self._refuse_own_row(user, member)
            members.remove_member(member=member, actor=user)

        return self.after_a_question(
            request,
            "remove_chosen",
            rows,
            remove,
            _("{count} removed."),
            title=_("Remove members?"),
            warning=_("They lose their role in this project at once."),
            submit_label=_("Remove"),
        )

    def _refuse_own_row(self, user: User, member: Member) -> None:
        if member.user_id == user.pk:
            raise Forbidden(_("Nobody may change or remove their own membership."))
