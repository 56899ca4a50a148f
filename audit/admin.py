"""The audit log as people read it: of one project, or of all that the reader may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.events import Operation, ResourceType
from audit.models import AuditLog
from harborsite.portal import scope
from harborsite.portal.filters import DateFilter
from harborsite.portal.pages import PortalAdmin, in_project
from harborsite.portal.templatetags.portal import moment
from projects.permissions import ROLE_ACTIONS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_READERS = frozenset(role for role, actions in ROLE_ACTIONS.items() if "log:list" in actions)
_OPERATIONS = dict(Operation.choices)
_TYPES = dict(ResourceType.choices)


class OperationFilter(admin.SimpleListFilter):
    """By what was done."""

    title = gettext_lazy("Operation")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, _StrPromise | str]]:
        return list(Operation.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
        return queryset.filter(operation=self.value()) if self.value() else queryset


class TypeFilter(admin.SimpleListFilter):
    """By what it was done to."""

    title = gettext_lazy("Resource type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, _StrPromise | str]]:
        return list(ResourceType.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
        return queryset.filter(resource_type=self.value()) if self.value() else queryset


class TimeFilter(DateFilter):
    """When it was done."""

    column = "op_time"


class ResultFilter(admin.SimpleListFilter):
    """Whether it was done, or refused."""

    title = gettext_lazy("Result")
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, _StrPromise | str]]:
        return [("success", gettext_lazy("Success")), ("failure", gettext_lazy("Failure"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
        return queryset.filter(successful=self.value() == "success") if self.value() else queryset


@admin.register(AuditLog)
class AuditLogAdmin(PortalAdmin[AuditLog]):
    """The Logs page and the Logs tab; nobody changes the past."""

    list_display = ("time", "who", "operation_name", "type_name", "resource_name", "outcome")
    list_display_links = None
    list_filter = (OperationFilter, TypeFilter, ResultFilter, TimeFilter)
    search_fields = ("username", "resource")
    ordering = ("-op_time", "-id")
    empty_text = gettext_lazy("Nothing has been recorded yet.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("logs/", site.member_view(self.logs), name="logs"),
            path("projects/<str:project>/logs/", in_project(site, self.project_logs, "log:list"), name="project_logs"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: AuditLog | None = None) -> bool:
        here = scope.find(request)
        return here.allows("log:list") if here else scope.visitor(request).is_authenticated

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditLog]:
        """Of this project; else of all projects whose log the reader's roles open; administrators see everything."""
        rows = AuditLog.objects.all()
        if here := scope.find(request):
            return rows.filter(project_id=here.project.pk)
        user = scope.signed_in(request)
        if user.is_superuser:
            return rows
        return rows.filter(project_id__in=[pk for pk, roles in user.memberships.items() if roles & _READERS])

    def logs(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(request, _("Logs"))

    def project_logs(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(request, _("Logs"))

    @admin.display(description=gettext_lazy("Time"), ordering="op_time")
    def time(self, row: AuditLog) -> str:
        return moment(row.op_time)

    @admin.display(description=gettext_lazy("User name"), ordering="username")
    def who(self, row: AuditLog) -> str:
        return row.username or _("anonymous")

    @admin.display(description=gettext_lazy("Operation"))
    def operation_name(self, row: AuditLog) -> str:
        return str(_OPERATIONS.get(row.operation, row.operation))

    @admin.display(description=gettext_lazy("Resource type"))
    def type_name(self, row: AuditLog) -> str:
        return str(_TYPES.get(row.resource_type, row.resource_type))

    @admin.display(description=gettext_lazy("Resource"))
    def resource_name(self, row: AuditLog) -> str:
        return format_html('<span class="mono">{}</span>', row.resource)

    @admin.display(description=gettext_lazy("Result"))
    def outcome(self, row: AuditLog) -> str:
        return _("Success") if row.successful else format_html('<span class="badge off">{}</span>', _("Failure"))
