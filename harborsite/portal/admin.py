"""The event log: what ran in the background, how it went, and its logs; for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.jobs import engine
from harborsite.jobs.models import Execution, Status, Task, TaskLog, Trigger
from harborsite.portal import scope
from harborsite.portal.pages import PortalAdmin, administrators_only
from harborsite.portal.templatetags.portal import moment

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_KINDS: Mapping[str, _StrPromise] = {
    "EXECUTION_SWEEP": gettext_lazy("Sweep of the event log"),
    "GARBAGE_COLLECTION": gettext_lazy("Garbage collection"),
    "PURGE_AUDIT_LOG": gettext_lazy("Log rotation"),
    "REPLICATION": gettext_lazy("Replication"),
    "RETENTION": gettext_lazy("Tag retention"),
    "SLACK": gettext_lazy("Message to Slack"),
    "SYSTEM_ARTIFACT_CLEANUP": gettext_lazy("Clean-up of abandoned uploads"),
    "WEBHOOK": gettext_lazy("Webhook"),
}
_LOOKS = {Status.SUCCESS: "role", Status.ERROR: "off", Status.STOPPED: "warn", Status.RUNNING: "public"}
_TASKS_SHOWN = 500
_LOG_PARTS = 2_000  # newest parts of a log that a page shows


def kind_label(vendor_type: str) -> str:
    return str(_KINDS.get(vendor_type, vendor_type))


def status_badge(status: str) -> str:
    return format_html('<span class="badge {}">{}</span>', _LOOKS.get(Status(status), ""), Status(status).label)


def duration(row: Execution | Task) -> str:
    """Until the end, or until now."""
    if row.start_time is None:
        return ""
    seconds = int(((row.end_time or timezone.now()) - row.start_time).total_seconds())
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def percent(task: Task) -> int | None:
    """How far it is, where it says so."""
    return min(100, 100 * task.done // task.total) if task.total else None


class StatusFilter(admin.SimpleListFilter):
    """By how it went."""

    title = gettext_lazy("Status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(status.value, status.label) for status in Status if status != Status.PENDING]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(Execution)
class ExecutionAdmin(PortalAdmin[Execution]):
    """The list of executions, and one with its tasks."""

    list_display = ("job", "number", "status_shown", "trigger_shown", "started", "took")
    list_filter = (StatusFilter,)
    ordering = ("-start_time", "-id")
    actions = ("stop_chosen",)
    empty_text = gettext_lazy("Nothing has run yet.")
    change_list_template = "portal/events/executions.html"

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("events/", administrators_only(site, self.executions), name="events"),
            path("events/<int:execution_id>/", administrators_only(site, self.execution), name="event"),
            path("events/<int:execution_id>/log/<int:task_id>/", administrators_only(site, self.log), name="task_log"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_view_permission

    def url_of(self, row: Execution) -> str:
        return reverse("admin:event", args=[row.pk])

    @admin.display(description=gettext_lazy("Kind"), ordering="vendor_type")
    def job(self, row: Execution) -> str:
        return kind_label(row.vendor_type)

    @admin.display(description=gettext_lazy("Number"), ordering="pk")
    def number(self, row: Execution) -> int:
        return int(row.pk)

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def status_shown(self, row: Execution) -> str:
        return status_badge(row.status)

    @admin.display(description=gettext_lazy("Trigger"), ordering="trigger")
    def trigger_shown(self, row: Execution) -> str:
        return str(Trigger(row.trigger).label)

    @admin.display(description=gettext_lazy("Started"), ordering="start_time")
    def started(self, row: Execution) -> str:
        return moment(row.start_time)

    @admin.display(description=gettext_lazy("Duration"))
    def took(self, row: Execution) -> str:
        return duration(row)

    def executions(self, request: HttpRequest) -> HttpResponse:
        running = Execution.objects.filter(status=Status.RUNNING).exists()
        return self.list_page(
            request, _("Event log"), action_buttons=[("stop_chosen", _("Stop"))], poll_seconds=5 if running else 0
        )

    def execution(self, request: HttpRequest, execution_id: int) -> HttpResponse:
        execution = get_object_or_404(Execution, pk=execution_id)
        tasks = [
            (task, status_badge(task.status), duration(task), percent(task))
            for task in execution.tasks.all()[:_TASKS_SHOWN]
        ]
        return self.page(
            request,
            "portal/events/execution.html",
            title=f"{kind_label(execution.vendor_type)} {execution.pk}",
            execution=execution,
            status=status_badge(execution.status),
            trigger=Trigger(execution.trigger).label,
            took=duration(execution),
            tasks=tasks,
            poll_seconds=0 if execution.is_final else 2,
        )

    def log(self, request: HttpRequest, execution_id: int, task_id: int) -> HttpResponse:
        task = get_object_or_404(Task, pk=task_id, execution=execution_id)
        newest = TaskLog.objects.filter(task=task).order_by("-pk").values_list("text", flat=True)[:_LOG_PARTS]
        return self.page(
            request,
            "portal/events/log.html",
            title=_("Log of {kind} {number}").format(kind=kind_label(task.vendor_type), number=task.pk),
            text="".join(reversed(newest)),
            back_url=reverse("admin:event", args=[execution_id]),
            poll_seconds=0 if task.is_final else 2,
        )

    @admin.action(permissions=["change"], description=gettext_lazy("Stop"))
    def stop_chosen(self, request: HttpRequest, rows: QuerySet[Execution]) -> None:
        """What is over already stays as it is."""
        self.each(request, rows, lambda execution: engine.stop(execution=execution), _("{count} asked to stop."))
