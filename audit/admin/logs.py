"""The audit log as people read it: of one project, or of all that the reader may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from audit import forwarding, switches
from audit.admin.details import details
from audit.events import EVENT_TYPES, Operation, ResourceType, event_label
from audit.models import AuditLog
from audit.purging import MAX_HOURS, OF_ARTIFACTS, OTHER
from harborsite.jobs.kinds import PURGE_AUDIT_LOG
from harborsite.portal import cleanup, scope
from harborsite.portal.filters import DateFilter
from harborsite.portal.pages import PortalAdmin, in_project
from harborsite.portal.templatetags.portal import moment
from projects.permissions import ROLE_ACTIONS

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise, _StrPromise

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


class RotationForm(forms.Form):
    """What is old, and which events go."""

    number = forms.IntegerField(label=gettext_lazy("Keep records for"), min_value=1, max_value=MAX_HOURS, initial=30)
    unit = forms.ChoiceField(
        label=gettext_lazy("Unit"), choices=[("24", gettext_lazy("days")), ("1", gettext_lazy("hours"))], initial="24"
    )
    events = forms.MultipleChoiceField(
        label=gettext_lazy("Which records are removed"), widget=forms.CheckboxSelectMultiple, choices=[]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        events = self.fields["events"]
        if isinstance(events, forms.MultipleChoiceField):
            events.choices = [(event, _event_label(event)) for event in (*EVENT_TYPES, OTHER)]
            events.initial = [*OF_ARTIFACTS, OTHER]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("number") and data.get("unit") and data["number"] * int(data["unit"]) > MAX_HOURS:
            self.add_error("number", _("At most {days} days.").format(days=MAX_HOURS // 24))
        return data


def _event_label(event: str) -> str:
    if event == OTHER:
        return _("Everything but artifacts")
    return event_label(event)


class RotationRuns(cleanup.SystemRuns):
    """Each with how many records it removed, or would."""

    def results(self, attrs: Mapping[str, Any]) -> str:
        if "purged" not in attrs:
            return ""
        return ngettext("{count} record", "{count} records", attrs["purged"]).format(count=attrs["purged"])


class LogRotation(cleanup.SystemJob):
    """The second tab of the clean-up."""

    vendor_type = PURGE_AUDIT_LOG
    view, below = "purge_runs", "clean-up/log-rotation/"
    run_title = gettext_lazy("Remove old records now")
    run_label = gettext_lazy("Purge now")
    run_intro = gettext_lazy("Records of the audit log that are older are removed for good.")
    form, runs = RotationForm, RotationRuns

    def parameters(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "audit_retention_hour": data["number"] * int(data["unit"]),
            "include_event_types": ",".join(data["events"]),
        }

    def entered(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        hours = parameters.get("audit_retention_hour") or 24
        unit = 24 if hours % 24 == 0 else 1
        events = str(parameters.get("include_event_types", "")).split(",")
        return {"number": hours // unit, "unit": str(unit), "events": events}

    def facts(self, parameters: Mapping[str, Any]) -> list[tuple[_StrOrPromise, str]]:
        shown = self.entered(parameters)
        days = shown["unit"] == "24"
        kept = (
            ngettext("{count} day", "{count} days", shown["number"])
            if days
            else ngettext("{count} hour", "{count} hours", shown["number"])
        )
        known = {*EVENT_TYPES, OTHER}
        labels = [_event_label(event) if event in known else event for event in shown["events"]]
        return [(_("Records kept for"), kept.format(count=shown["number"])), (_("Removed"), ", ".join(labels))]


@admin.register(AuditLog)
class AuditLogAdmin(PortalAdmin[AuditLog]):
    """The Logs page and the Logs tab; nobody changes the past."""

    list_display = ("time", "who", "operation_name", "type_name", "resource_name", "told", "outcome")
    list_display_links = None
    list_filter = (OperationFilter, TypeFilter, ResultFilter, TimeFilter)
    search_fields = ("username", "resource")
    search_newest, newest_by = 30_000, "op_time"
    ordering = ("-op_time", "-id")
    empty_text = gettext_lazy("Nothing has been recorded yet.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            *LogRotation(site).urls(),
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
        if scope.signed_in(request).is_superuser:
            self._say_how_forwarding_goes(request)
        return self.list_page(request, _("Logs"))

    def _say_how_forwarding_goes(self, request: HttpRequest) -> None:
        state = forwarding.state()
        if state.error and state.since:
            text = format_html(
                _("The log collector {destination} has not been reached since {since}: {error}."),
                destination=state.destination,
                since=moment(state.since),
                error=state.error,
            )
            waiting = ngettext("{count} record waits to be sent.", "{count} records wait to be sent.", state.waiting)
            messages.error(request, format_html("{} {}", text, waiting.format(count=state.waiting)))
        elif not switches.now().keep:
            messages.info(request, _("Records are sent to {to} and not kept here.").format(to=state.destination))

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

    @admin.display(description=gettext_lazy("Details"))
    def told(self, row: AuditLog) -> str:
        return details(row.data)

    @admin.display(description=gettext_lazy("Result"))
    def outcome(self, row: AuditLog) -> str:
        return _("Success") if row.successful else format_html('<span class="badge off">{}</span>', _("Failure"))
