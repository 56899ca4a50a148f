"""The pages of projects, their members, and people's accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import Forbidden
from harborsite.portal import scope
from harborsite.portal.forms import PasswordForm
from harborsite.portal.pages import PortalAdmin, ProjectPartAdmin, administrators_only, form_page, in_project
from harborsite.portal.templatetags.portal import moment
from projects.models import Member, Project, Quota, User
from projects.models.quota import UNLIMITED
from projects.permissions import Rank, Role, can, highest_role
from projects.services import accounts, lifecycle, members

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_BYTES = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


class ProjectForm(forms.Form):
    """A new project; only administrators choose its quota."""

    name = forms.CharField(
        label=gettext_lazy("Project name"),
        max_length=255,
        help_text=gettext_lazy("Lower-case letters, digits and single . _ - between them, as in team-a."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "spellcheck": "false"}),
    )
    public = forms.BooleanField(
        label=gettext_lazy("Public"),
        required=False,
        help_text=gettext_lazy("Everyone may see and pull what is in a public project, also without signing in."),
    )
    limit = forms.IntegerField(
        label=gettext_lazy("Storage quota"),
        min_value=1,
        max_value=1024**2,
        required=False,
        help_text=gettext_lazy("Empty means no limit of its own."),
    )
    unit = forms.ChoiceField(label=gettext_lazy("Unit"), choices=[(unit, unit) for unit in _BYTES], initial="GiB")

    def __init__(self, *args: Any, with_quota: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_quota:
            del self.fields["limit"], self.fields["unit"]


class AccessFilter(admin.SimpleListFilter):
    """Public or private."""

    title = gettext_lazy("Access level")
    parameter_name = "access"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, _StrPromise]]:
        return [("public", gettext_lazy("Public")), ("private", gettext_lazy("Private"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> QuerySet[Project]:
        return queryset.filter(public=self.value() == "public") if self.value() else queryset


@admin.register(Project)
class ProjectAdmin(PortalAdmin[Project]):
    """The list of projects, a project's summary, and making and deleting projects."""

    list_display = ("name", "access", "role", "repository_count", "created")
    list_filter = (AccessFilter,)
    search_fields = ("name",)
    ordering = ("name",)
    actions = ("delete_chosen",)
    empty_text = gettext_lazy("No project to show.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("projects/", site.public_view(self.projects), name="projects"),
            path("new-project/", site.member_view(self.new_project), name="new_project"),
            path("projects/<str:project>/", in_project(site, self.summary, "project:read"), name="summary"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return True  # the list holds what the visitor may see

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """Whether there is anything the visitor could delete; each project is asked again when it comes to it."""
        who = scope.visitor(request)
        if obj is not None:
            return can(who, "project:delete", obj)
        return who.is_superuser or (
            isinstance(who, User) and any(Role.PROJECT_ADMIN in roles for roles in who.memberships.values())
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        return Project.objects.visible_to(scope.visitor(request))

    def url_of(self, row: Project) -> str:
        return reverse("admin:repositories", args=[row.name])

    def complete(self, request: HttpRequest, rows: Sequence[Project]) -> None:
        counts = Project.objects.filter(pk__in=[row.pk for row in rows]).annotate(count=Count("repositories"))
        by_id = dict(counts.order_by().values_list("pk", "count"))
        who = scope.visitor(request)
        for row in rows:
            role = highest_role(who.roles_in(row)) if isinstance(who, User) else 0
            vars(row).update(repository_count=by_id.get(row.pk, 0), role_shown=role)

    @admin.display(description=gettext_lazy("Access level"), ordering="public")
    def access(self, row: Project) -> str:
        return access_badge(row)

    @admin.display(description=gettext_lazy("Role"))
    def role(self, row: Project) -> str:
        role = vars(row).get("role_shown")
        return str(Role(role).label) if role else ""

    @admin.display(description=gettext_lazy("Repositories"))
    def repository_count(self, row: Project) -> int:
        return int(vars(row).get("repository_count", 0))

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: Project) -> str:
        return moment(row.creation_time)

    def projects(self, request: HttpRequest) -> HttpResponse:
        may_create = lifecycle.may_create_project(scope.visitor(request)) and request.user.is_authenticated
        return self.list_page(
            request,
            _("Projects"),
            add_url=reverse("admin:new_project") if may_create else None,
            add_label=_("New project"),
            action_buttons=[("delete_chosen", _("Delete"))] if self.has_delete_permission(request) else [],
        )

    def new_project(self, request: HttpRequest) -> HttpResponse:
        user = scope.signed_in(request)
        if not lifecycle.may_create_project(user):
            raise Forbidden(_("Only administrators may create projects."))
        form = ProjectForm(request.POST or None, with_quota=user.is_superuser)

        def save(data: Mapping[str, Any]) -> str:
            limit = data["limit"] * _BYTES[data["unit"]] if data.get("limit") else None
            made = lifecycle.create_project(name=data["name"], public=data["public"], actor=user, storage_limit=limit)
            return reverse("admin:repositories", args=[made.name])

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("New project"),
            submit_label=_("Create project"),
            success=_("The project has been created."),
            next_url=reverse("admin:projects"),
        )

    def summary(self, request: HttpRequest) -> HttpResponse:
        here = scope.current(request)
        repositories = here.project.repositories.order_by("-update_time")[:5]
        roles: list[tuple[str, int]] = []
        if here.allows("member:list"):
            counts = dict(here.project.members.values_list("role").annotate(Count("pk")).order_by())
            ranked = sorted(counts, key=lambda role: -Rank[Role(role).name])
            roles = [(str(Role(role).label), counts[role]) for role in ranked]
        return self.page(
            request,
            "projects/summary.html",
            title=here.project.name,
            repositories=repositories,
            repository_count=here.project.repositories.count(),
            roles=roles,
            quota=self._quota(here),
        )

    def _quota(self, here: scope.Scope) -> dict[str, Any] | None:
        quota = Quota.objects.filter(project=here.project).first() if here.allows("quota:read") else None
        if quota is None:
            return None
        limited = quota.hard != UNLIMITED
        percent = min(100, round(100 * quota.used / quota.hard)) if limited and quota.hard else 0
        return {"used": quota.used, "hard": quota.hard, "limited": limited, "percent": percent}

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Project]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self.confirmation(
                request,
                "delete_chosen",
                rows,
                title=_("Delete projects?"),
                warning=_("A project can be deleted when it holds no repositories. Its members and robot accounts go."),
                submit_label=_("Delete"),
            )
        user = scope.signed_in(request)

        def delete(project: Project) -> None:
            if not self.has_delete_permission(request, project):
                raise Forbidden(_("Your role does not allow this."))
            lifecycle.delete_project(project=project, actor=user)

        self.each(request, rows, delete, _("{count} deleted."))
        return None


def access_badge(project: Project) -> str:
    kind, text = ("public", _("Public")) if project.public else ("private", _("Private"))
    return format_html('<span class="badge {}">{}</span>', kind, text)


class MemberForm(forms.Form):
    """Who gets which role."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    role = forms.TypedChoiceField(
        label=gettext_lazy("Role"),
        coerce=int,
        choices=Role.choices,
        initial=Role.GUEST,
        widget=forms.RadioSelect,
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
            path("projects/<str:project>/members/", self.in_project(self.members), name="members"),
            path(
                "projects/<str:project>/members/new/",
                self.in_project(self.new_member, "member:create"),
                name="new_member",
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
            roles=Role.choices,
        )

    def new_member(self, request: HttpRequest) -> HttpResponse:
        here, user = scope.current(request), scope.signed_in(request)
        form = MemberForm(request.POST or None)

        def save(data: Mapping[str, Any]) -> None:
            found = User.objects.living().filter(username=data["username"]).first()
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
        if "confirmed" not in request.POST:
            return self.confirmation(
                request,
                "remove_chosen",
                rows,
                title=_("Remove members?"),
                warning=_("They lose their role in this project at once."),
                submit_label=_("Remove"),
            )
        user = scope.signed_in(request)

        def remove(member: Member) -> None:
            self._refuse_own_row(user, member)
            members.remove_member(member=member, actor=user)

        self.each(request, rows, remove, _("{count} removed."))
        return None

    def _refuse_own_row(self, user: User, member: Member) -> None:
        if member.user_id == user.pk:
            raise Forbidden(_("Nobody may change or remove their own membership."))


class UserForm(PasswordForm):
    """A new account."""

    field_order = ["username", "email", "realname", "comment"]

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=255)
    realname = forms.CharField(label=gettext_lazy("Full name"), max_length=255, required=False)
    comment = forms.CharField(label=gettext_lazy("Comment"), max_length=30, required=False)
    sysadmin_flag = forms.BooleanField(label=gettext_lazy("Administrator"), required=False)


@admin.register(User)
class UserAdmin(PortalAdmin[User]):
    """Administration: people's accounts."""

    list_display = ("username", "administrator", "state", "email", "realname", "registered")
    list_filter = ("sysadmin_flag", "is_active")
    search_fields = ("username", "email", "realname")
    ordering = ("username",)
    actions = ("grant", "revoke", "enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No user to show.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("users/", administrators_only(site, self.users), name="users"),
            path("users/new/", administrators_only(site, self.new_user), name="new_user"),
            path("users/<int:user_id>/password/", administrators_only(site, self.password), name="user_password"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_delete_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return User.objects.living()

    def url_of(self, row: User) -> str:
        return reverse("admin:user_password", args=[row.pk])

    @admin.display(description=gettext_lazy("Administrator"), ordering="sysadmin_flag")
    def administrator(self, row: User) -> str:
        return _("Yes") if row.sysadmin_flag else _("No")

    @admin.display(description=gettext_lazy("State"), ordering="is_active")
    def state(self, row: User) -> str:
        return _("Active") if row.is_active else format_html('<span class="badge off">{}</span>', _("Disabled"))

    @admin.display(description=gettext_lazy("Registered"), ordering="creation_time")
    def registered(self, row: User) -> str:
        return moment(row.creation_time)

    def users(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Users"),
            add_url=reverse("admin:new_user"),
            add_label=_("New user"),
            action_buttons=[
                ("grant", _("Make administrator")),
                ("revoke", _("Revoke administrator")),
                ("enable", _("Enable")),
                ("disable", _("Disable")),
                ("delete_chosen", _("Delete")),
            ],
        )

    def new_user(self, request: HttpRequest) -> HttpResponse:
        actor = scope.signed_in(request)

        def save(data: Mapping[str, Any]) -> None:
            accounts.create_user(
                username=data["username"],
                email=data["email"],
                password=data["new_password"],
                actor=actor,
                realname=data["realname"],
                comment=data["comment"],
                sysadmin_flag=data["sysadmin_flag"],
            )

        return form_page(
            self.admin_site,
            request,
            UserForm(request.POST or None),
            save,
            title=_("New user"),
            submit_label=_("Create user"),
            success=_("The user has been created."),
            next_url=reverse("admin:users"),
        )

    def password(self, request: HttpRequest, user_id: int) -> HttpResponse:
        actor = scope.signed_in(request)
        user = get_object_or_404(User.objects.living(), pk=user_id)
        if user.pk == actor.pk:
            return HttpResponseRedirect(reverse("admin:password_change"))
        return form_page(
            self.admin_site,
            request,
            PasswordForm(request.POST or None),
            lambda data: accounts.set_password(user=user, password=data["new_password"], actor=actor),
            title=_("Set the password of {name}").format(name=user.username),
            submit_label=_("Set password"),
            success=_("The password of {name} has been set.").format(name=user.username),
            next_url=reverse("admin:users"),
        )

    def _others(self, request: HttpRequest, rows: QuerySet[User]) -> QuerySet[User]:
        """Nobody changes their own rights: a slip would lock them out."""
        own = scope.signed_in(request)
        if rows.filter(pk=own.pk).exists():
            self.message_user(request, _("Your own account has been left as it is."), messages.WARNING)
        return rows.exclude(pk=own.pk)

    @admin.action(permissions=["change"], description=gettext_lazy("Make administrator"))
    def grant(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_sysadmin(request, rows, True)

    @admin.action(permissions=["change"], description=gettext_lazy("Revoke administrator"))
    def revoke(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_sysadmin(request, rows, False)

    def _set_sysadmin(self, request: HttpRequest, rows: QuerySet[User], flag: bool) -> None:
        actor = scope.signed_in(request)
        self.each(
            request,
            self._others(request, rows),
            lambda user: accounts.set_sysadmin(user=user, flag=flag, actor=actor),
            _("{count} changed."),
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Enable"))
    def enable(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_active(request, rows, True)

    @admin.action(permissions=["change"], description=gettext_lazy("Disable"))
    def disable(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_active(request, rows, False)

    def _set_active(self, request: HttpRequest, rows: QuerySet[User], active: bool) -> None:
        actor = scope.signed_in(request)
        self.each(
            request,
            self._others(request, rows),
            lambda user: accounts.set_active(user=user, active=active, actor=actor),
            _("{count} changed."),
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[User]) -> HttpResponse | None:
        others = self._others(request, rows)
        if "confirmed" not in request.POST:
            return self.confirmation(
                request,
                "delete_chosen",
                others,
                title=_("Delete users?"),
                warning=_("They can no longer sign in. What they did stays in the audit log."),
                submit_label=_("Delete"),
            )
        actor = scope.signed_in(request)
        self.each(request, others, lambda user: accounts.delete_user(user=user, actor=actor), _("{count} deleted."))
        return None
