"""The list of projects, and a project's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite import config
from harborsite.errors import Forbidden
from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import PortalAdmin, form_page, in_project, refuse_writes_when_read_only
from harborsite.portal.templatetags.portal import moment
from projects.admin import configuration, sizes
from projects.models import Project, User
from projects.models.quota import UNLIMITED
from projects.permissions import Rank, Role, can, highest_role
from projects.services import lifecycle, statistics

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class ProjectForm(sizes.LimitFields):
    """A new project; only administrators choose its quota."""

    field_order = ["name", "public", "limit", "unit"]

    name = forms.CharField(
        label=gettext_lazy("Project name"),
        max_length=255,
        help_text=gettext_lazy("Lower-case letters, digits and single . _ - between them, as in team-a."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "spellcheck": "false"}),
    )
    public = forms.BooleanField(label=gettext_lazy("Public"), required=False, help_text=configuration.PUBLIC_HELP)

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
    change_list_template = "projects/projects.html"

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("projects/", site.public_view(self.projects), name="projects"),
            path("new-project/", site.member_view(self.new_project), name="new_project"),
            path("projects/<str:project>/", in_project(site, self.summary, "project:read"), name="summary"),
            *configuration.urls(site),
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
        refuse_writes_when_read_only(request)
        may_create = lifecycle.may_create_project(scope.visitor(request)) and request.user.is_authenticated
        return self.list_page(
            request,
            _("Projects"),
            add_url=reverse("admin:new_project") if may_create else None,
            add_label=_("New project"),
            statistics=statistics.count(scope.visitor(request)),
            stored=statistics.stored(scope.visitor(request)),
            first_steps=first_steps() if scope.visitor(request).is_superuser else [],
            action_buttons=[("delete_chosen", _("Delete"))] if self.has_delete_permission(request) else [],
        )

    def new_project(self, request: HttpRequest) -> HttpResponse:
        user = scope.signed_in(request)
        refuse_writes_when_read_only(request)
        if not lifecycle.may_create_project(user):
            raise PermissionDenied(_("Only administrators may create projects."))
        form = ProjectForm(scope.posted(request), with_quota=user.is_superuser)
        check_while_typing(form, name=lifecycle.check_new_name)

        def save(data: Mapping[str, Any]) -> str:
            limit = sizes.entered(data)
            made = lifecycle.create_project(
                name=data["name"],
                public=data["public"],
                actor=user,
                storage_limit=None if limit == UNLIMITED else limit,
            )
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
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Project]) -> HttpResponse | None:
        user = scope.signed_in(request)

        def delete(project: Project) -> None:
            if not self.has_delete_permission(request, project):
                raise Forbidden(_("Your role does not allow this."))
            lifecycle.delete_project(project=project, actor=user)

        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            delete,
            _("{count} deleted."),
            title=_("Delete projects?"),
            warning=_("A project can be deleted when it holds no repositories. Its members and robot accounts go."),
            submit_label=_("Delete"),
        )


def first_steps() -> list[tuple[str, str]]:
    """The lines that push a first image, until there is one."""
    if Project.objects.filter(repositories__isnull=False).exists():
        return []
    host = config.current().registry_host
    image = f"{host}/library/hello-world:latest"
    return [
        (_("Sign in"), f"docker login {host}"),
        (_("Fetch"), "docker pull hello-world"),
        (_("Name"), f"docker tag hello-world {image}"),
        (_("Push"), f"docker push {image}"),
    ]


def access_badge(project: Project) -> str:
    kind, text = ("public", _("Public")) if project.public else ("private", _("Private"))
    return format_html('<span class="badge {}">{}</span>', kind, text)
