"""Executions, their tasks and the tasks' logs as pages: of the whole system, of one policy, of whatever has some.

Who has executions to show makes `RunPages` with a function that says whose they are, and mounts its `urls`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import label_for_field
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.jobs import engine
from harborsite.jobs.kinds import KINDS
from harborsite.jobs.models import FINAL, Execution, Status, Task, TaskLog, Trigger
from harborsite.portal import scope
from harborsite.portal.pages import PortalAdmin
from harborsite.portal.templatetags.portal import moment, unfolding
from harborsite.principal import Principal

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase
    from django.utils.functional import _StrOrPromise, _StrPromise

_KEY = "portal_runs"
_DIGITS = 18  # of a number that the databases take
_LIST_SECONDS, _ONE_SECONDS = 5, 2  # between two looks of a page that shows something running
_PAYLOAD = "payload"  # the parameter that is a message to somebody, shown by itself
_MOST_BELOW = 50  # tasks below a row; the page of the execution has all
_LONG = {_PAYLOAD, "events"}  # parameters that no list of them shows
_LOG_PARTS = 2_000  # newest parts of a log that a page shows

_KINDS: Mapping[str, _StrPromise] = {
    "CHECK_STORAGE": gettext_lazy("Storage check"),
    "EXECUTION_SWEEP": gettext_lazy("Sweep of the event log"),
    "GARBAGE_COLLECTION": gettext_lazy("Garbage collection"),
    "PURGE_AUDIT_LOG": gettext_lazy("Log rotation"),
    "REPLICATION": gettext_lazy("Replication"),
    "RETENTION": gettext_lazy("Tag retention"),
    "SCHEDULER": gettext_lazy("All schedules"),
    "SLACK": gettext_lazy("Message to Slack"),
    "SYSTEM_ARTIFACT_CLEANUP": gettext_lazy("Clean-up of abandoned uploads"),
    "WEBHOOK": gettext_lazy("Webhook"),
    "WEBHOOK_EVENTS": gettext_lazy("Events for webhooks"),
}
_LOOKS = {Status.SUCCESS: "role", Status.ERROR: "off", Status.STOPPED: "warn", Status.RUNNING: "public"}


def kind_label(vendor_type: str) -> str:
    return str(_KINDS.get(vendor_type, vendor_type))


def status_badge(status: str) -> str:
    return format_html('<span class="badge {}">{}</span>', _LOOKS.get(Status(status), ""), Status(status).label)


def state_badge(enabled: bool) -> str:
    """Whether a rule or webhook is switched on."""
    label = _("Enabled") if enabled else _("Disabled")
    return format_html('<span class="badge {}">{}</span>', "role" if enabled else "", label)


def last_run(execution: Execution | None) -> str:
    """How the newest execution went, and when it began; for a list of what has executions."""
    if execution is None:
        return "–"
    return format_html("{} {}", status_badge(execution.status), moment(execution.start_time))


def said(message: str) -> str:
    """A status message in the reader's language, where it is one of ours."""
    return _(message) if message else ""


def duration(row: Execution | Task) -> str:
    """Until the end, or until now."""
    if row.start_time is None:
        return ""
    return clock(int(((row.end_time or timezone.now()) - row.start_time).total_seconds()))


def clock(seconds: int) -> str:
    """`1:02:03`."""
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def percent(task: Task) -> int | None:
    """How far it is, where it says so."""
    return min(100, 100 * task.done // task.total) if task.total else None


def latest(vendor_types: Iterable[str], vendor_ids: Iterable[int]) -> dict[int, Execution]:
    """The newest execution of each id that has any, in one query."""
    rows = Execution.objects.filter(vendor_type__in=list(vendor_types), vendor_id__in=list(vendor_ids)).order_by()
    newest = rows.values("vendor_id").annotate(newest=Max("pk")).values_list("newest", flat=True)
    return {row.vendor_id: row for row in Execution.objects.filter(pk__in=list(newest))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Whose executions a page shows: `url` is the address of their list, `crumbs` the way to what has them."""

    rows: QuerySet[Execution]
    url: str
    title: str
    may_change: bool  # stop and retry
    crumbs: Sequence[tuple[str, str]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # for the template of the list
    execution: Execution | None = None  # the one whose tasks are shown

    @property
    def trail(self) -> list[tuple[str, str]]:
        """The way from the list to a page below it."""
        return [*self.crumbs, (self.title, self.url)]


def current(request: HttpRequest) -> Runs:
    runs = request.__dict__.get(_KEY)
    if not isinstance(runs, Runs):
        raise PermissionDenied
    return runs


class _StatusFilter(admin.SimpleListFilter):
    title = gettext_lazy("Status")
    parameter_name = "status"
    states: Iterable[Status]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(status.value, status.label) for status in self.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class StatusFilter(_StatusFilter):
    """By how it went."""

    states = [status for status in Status if status != Status.PENDING]


class TaskStatusFilter(_StatusFilter):
    """The same for tasks, which may wait as well."""

    states = list(Status)


def _numbered(term: str) -> Q:
    """The one row of this number; none for what is no number."""
    return Q(pk=int(term)) if term.isdecimal() and len(term) <= _DIGITS else Q(pk__in=())


class RunList(PortalAdmin[Execution]):
    """The list of executions, which is searched by their number."""

    list_display: tuple[str, ...] = ("run", "status_shown", "trigger_shown", "started", "took", "success", "total")
    list_filter: ClassVar[tuple[Any, ...]] = (StatusFilter, "trigger")
    search_fields = ("pk",)
    search_help_text = gettext_lazy("Search by number")
    ordering = ("-start_time", "-id")
    actions = ("stop_chosen",)
    empty_text = gettext_lazy("Nothing has run yet.")
    change_list_template = "portal/runs/executions.html"

    def has_view_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        return bool(current(request))

    def has_change_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        return current(request).may_change

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        return current(request).rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Execution], search_term: str
    ) -> tuple[QuerySet[Execution], bool]:
        return queryset.filter(_numbered(search_term.strip())) if search_term else queryset, False

    def complete(self, request: HttpRequest, rows: Sequence[Execution]) -> None:
        """With the counts of their tasks, in one query for all."""
        counted = Task.objects.filter(execution__in=[row.pk for row in rows]).order_by()
        counts: dict[int, Counter[str]] = {row.pk: Counter() for row in rows}
        for execution, status, number in counted.values_list("execution_id", "status").annotate(Count("pk")):
            counts[execution][status] = number
        for row in rows:
            row.__dict__["counts"] = counts[row.pk]
            row.__dict__["url"] = f"{current(request).url}{row.pk}/"

    def url_of(self, row: Execution) -> str:
        return str(row.__dict__["url"])

    @admin.display(description=gettext_lazy("Execution"), ordering="pk")
    def run(self, row: Execution) -> int:
        return int(row.pk)

    @admin.display(description=gettext_lazy("Kind"), ordering="vendor_type")
    def job(self, row: Execution) -> str:
        return kind_label(row.vendor_type)

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

    @admin.display(description=gettext_lazy("Success rate"))
    def success(self, row: Execution) -> str:
        counts: Counter[str] = row.__dict__["counts"]
        return f"{100 * counts[Status.SUCCESS] // counts.total()} %" if counts else ""

    @admin.display(description=gettext_lazy("Tasks"))
    def total(self, row: Execution) -> str:
        """The link whose tasks come below its row, or without script are shown on the page of the execution."""
        counts: Counter[str] = row.__dict__["counts"]
        if not (number := counts.total()):
            return "0"
        url, called = self.url_of(row), ngettext("{count} task", "{count} tasks", number).format(count=number)
        return unfolding(number, called, rows=f"{url}tasks/", page=url)

    @admin.action(permissions=["change"], description=gettext_lazy("Stop"))
    def stop_chosen(self, request: HttpRequest, rows: QuerySet[Execution]) -> HttpResponse | None:
        """What is over already stays as it is."""
        return self.after_a_question(
            request,
            "stop_chosen",
            rows,
            lambda execution: engine.stop(execution=execution, actor=scope.visitor(request)),
            _("{count} asked to stop."),
            **stop_texts(),
        )


class TaskList(PortalAdmin[Task]):
    """The tasks of one execution, below what there is to say about the execution itself.

    They are searched by their number, and by the parameters in `searched`.
    """

    searched: ClassVar[tuple[str, ...]] = ()

    list_display: tuple[str, ...] = ("task", "status_shown", "progress", "started", "took", "log")
    list_display_links = None
    list_filter: ClassVar[tuple[Any, ...]] = (TaskStatusFilter,)
    search_fields = ("pk",)
    search_help_text = gettext_lazy("Search by number")
    ordering = ("-start_time", "-id")
    actions = ("retry_chosen",)
    empty_text = gettext_lazy("No task yet.")
    change_list_template = "portal/runs/execution.html"

    def has_view_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        return bool(current(request))

    def has_change_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        return current(request).may_change

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        return Task.objects.filter(execution=current(request).execution)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        named = [Q(**{f"extra_attrs__{name}__icontains": term}) for name in self.searched]
        return queryset.filter(reduce(or_, named, _numbered(term))), False

    def complete(self, request: HttpRequest, rows: Sequence[Task]) -> None:
        for row in rows:
            row.__dict__["log_url"] = f"{current(request).url}{row.execution_id}/log/{row.pk}/"

    def facts(self, execution: Execution) -> list[tuple[_StrOrPromise, str]]:
        """What an execution was told, for its page."""
        return [(name, str(value)) for name, value in execution.extra_attrs.items() if name not in _LONG]

    @admin.display(description=gettext_lazy("Task"), ordering="pk")
    def task(self, row: Task) -> str:
        told = [pair for pair in row.extra_attrs.items() if pair[0] not in _LONG]
        lines = [format_html('<br><span class="more mono">{}: {}</span>', *pair) for pair in told]
        return format_html("{}" + "{}" * len(lines), row.pk, *lines)

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def status_shown(self, row: Task) -> str:
        return format_html('{} <span class="reason">{}</span>', status_badge(row.status), said(row.status_message))

    @admin.display(description=gettext_lazy("Progress"))
    def progress(self, row: Task) -> str:
        done = percent(row)
        if done is None:
            return ""
        return format_html('<progress max="100" value="{}" aria-label="{}%"></progress>', done, done)

    @admin.display(description=gettext_lazy("Started"), ordering="start_time")
    def started(self, row: Task) -> str:
        return moment(row.start_time)

    @admin.display(description=gettext_lazy("Ended"), ordering="end_time")
    def ended(self, row: Task) -> str:
        return moment(row.end_time)

    @admin.display(description=gettext_lazy("Duration"))
    def took(self, row: Task) -> str:
        return duration(row)

    @admin.display(description=gettext_lazy("Log"))
    def log(self, row: Task) -> str:
        return format_html('<a href="{}">{}</a>', row.__dict__["log_url"], _("Show"))

    @admin.action(permissions=["change"], description=gettext_lazy("Retry"))
    def retry_chosen(self, request: HttpRequest, rows: QuerySet[Task]) -> None:
        self.each(request, rows, partial(self.retry, actor=scope.visitor(request)), _("{count} will be tried again."))

    def retry(self, task: Task, *, actor: Principal) -> None:
        engine.retry(task=task, actor=actor)


class KindFilter(admin.SimpleListFilter):
    """By kind, where executions of several kinds are listed."""

    title = gettext_lazy("Kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return sorted(((kind, kind_label(kind)) for kind in KINDS), key=lambda each: each[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(vendor_type=self.value()) if self.value() else queryset


def stop_texts() -> dict[str, Any]:
    return {
        "title": _("Stop executions?"),
        "warning": _("What they have done so far stays; the rest is not done."),
        "submit_label": _("Stop"),
    }


def _execution(runs: Runs) -> Execution:
    if runs.execution is None:
        raise PermissionDenied
    return runs.execution


class RunPages:
    """The list of executions, the tasks of one, the log of a task, and stopping: mounted below one address.

    `whose` turns the address's other parts into Runs, or raises; `guard` wraps a view in the access rule.
    """

    def __init__(
        self,
        whose: Callable[..., Runs],
        guard: Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponseBase]],
        *,
        run_list: RunList,
        task_list: TaskList,
    ) -> None:
        self._whose = whose
        self._guard = guard
        self._runs = run_list
        self._tasks = task_list

    def urls(self, below: str, name: str) -> list[URLPattern]:
        one = f"{below}<int:execution_id>/"
        return [
            path(below, self._view(self.executions), name=f"{name}s"),
            path(one, self._view(self.execution), name=name),
            path(f"{one}stop/", self._view(self.stop), name=f"stop_{name}"),
            path(f"{one}tasks/", self._view(self.tasks), name=f"{name}_tasks"),
            path(f"{one}log/<int:task_id>/", self._view(self.log), name=f"{name}_log"),
        ]

    def list_view(self) -> Callable[..., HttpResponseBase]:
        """The list of executions, for one more address: that of the page which has them below itself."""
        return self._view(self.executions)

    def _view(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
        """`page` for the executions that the address names; those of others are not there."""

        def inner(request: HttpRequest, **parts: Any) -> HttpResponse:
            inside = {name: parts.pop(name) for name in ("execution_id", "task_id") if name in parts}
            runs = self._whose(request, **parts)
            if "execution_id" in inside:
                execution = get_object_or_404(runs.rows, pk=inside.pop("execution_id"))
                runs = replace(runs, execution=execution)
            request.__dict__[_KEY] = runs
            return page(request, runs, **inside)

        return self._guard(inner)

    def executions(self, request: HttpRequest, runs: Runs) -> HttpResponse:
        running = runs.rows.filter(status=Status.RUNNING).exists()
        return self._runs.list_page(
            request,
            runs.title,
            crumbs=[*runs.crumbs, (runs.title, "")] if runs.crumbs else None,
            action_buttons=[("stop_chosen", _("Stop"))],
            poll_seconds=_LIST_SECONDS if running else 0,
            **runs.extra,
        )

    def execution(self, request: HttpRequest, runs: Runs) -> HttpResponse:
        execution = _execution(runs)
        title = f"{kind_label(execution.vendor_type)} {execution.pk}"
        counts = dict(execution.tasks.order_by().values_list("status").annotate(Count("pk")))
        return self._tasks.list_page(
            request,
            title,
            crumbs=[*runs.trail, (title, "")],
            execution=execution,
            status=status_badge(execution.status),
            message=said(execution.status_message),
            trigger=Trigger(execution.trigger).label,
            took=duration(execution),
            facts=self._tasks.facts(execution),
            payload=execution.extra_attrs.get(_PAYLOAD, ""),
            counts=[(status_badge(status), counts[status]) for status in Status if status in counts],
            stop_url="stop/" if runs.may_change and not execution.is_final else None,
            action_buttons=[("retry_chosen", _("Retry"))] if set(counts) & {Status.ERROR, Status.STOPPED} else [],
            poll_seconds=0 if execution.is_final else _ONE_SECONDS,
        )

    def tasks(self, request: HttpRequest, runs: Runs) -> HttpResponse:
        """One row of the list's table that holds a table of the tasks of one execution."""
        url = f"{runs.url}{_execution(runs).pk}/"
        if not request.headers.get("HX-Request"):
            return HttpResponseRedirect(url)
        pages, shown = self._tasks, self._tasks.list_display
        rows = list(pages.get_queryset(request).order_by(*pages.ordering)[: _MOST_BELOW + 1])
        pages.complete(request, rows)
        context = {
            "columns": len(self._runs.get_list_display(request)) + bool(self._runs.get_actions(request)),
            "titles": [label_for_field(name, Task, pages) for name in shown],
            "rows": [[getattr(pages, name)(row) for name in shown] for row in rows[:_MOST_BELOW]],
            "more_url": url if len(rows) > _MOST_BELOW else "",
        }
        return render(request, "portal/runs/task_rows.html", context)

    def stop(self, request: HttpRequest, runs: Runs) -> HttpResponse:
        """Ask, then stop the one execution."""
        if not runs.may_change:
            raise PermissionDenied
        execution = _execution(runs)
        back = f"{runs.url}{execution.pk}/"
        if request.method != "POST":
            texts = {**stop_texts(), "title": _("Stop this execution?")}
            context = {"rows": [f"{kind_label(execution.vendor_type)} {execution.pk}"], "back_url": back}
            return self._runs.page(request, "portal/confirmation.html", **texts, **context)
        engine.stop(execution=execution, actor=scope.visitor(request))
        messages.success(request, _("{count} asked to stop.").format(count=1))
        return HttpResponseRedirect(back)

    def log(self, request: HttpRequest, runs: Runs, task_id: int) -> HttpResponse:
        execution = _execution(runs)
        task = get_object_or_404(execution.tasks.all(), pk=task_id)
        newest = TaskLog.objects.filter(task=task).order_by("-pk").values_list("text", flat=True)[:_LOG_PARTS]
        title = _("Log of {kind} {number}").format(kind=kind_label(task.vendor_type), number=task.pk)
        back = f"{runs.url}{execution.pk}/"
        return self._runs.page(
            request,
            "portal/runs/log.html",
            title=title,
            crumbs=[*runs.trail, (f"{kind_label(execution.vendor_type)} {execution.pk}", back), (title, "")],
            text="".join(reversed(newest)),
            back_url=back,
            poll_seconds=0 if task.status in FINAL else _ONE_SECONDS,
        )
