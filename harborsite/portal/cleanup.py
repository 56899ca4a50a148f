"""Administration › Clean up: a job of the whole system with its schedule, its runs, and runs by hand.

Whoever has such a job subclasses `SystemJob` and mounts its `urls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.jobs import dashboard, engine, schedules
from harborsite.jobs.models import Execution, Schedule, Status, Task
from harborsite.portal import crons, scope
from harborsite.portal.navigation import Link
from harborsite.portal.pages import administrators_only, form_page
from harborsite.portal.runs import RunList, RunPages, Runs, TaskList, status_badge
from harborsite.portal.templatetags.portal import moment

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from harborsite.portal.site import PortalSite

TABS: Sequence[tuple[str, _StrOrPromise]] = (
    ("garbage_runs", gettext_lazy("Garbage collection")),
    ("purge_runs", gettext_lazy("Log rotation")),
    ("check_runs", gettext_lazy("Storage check")),
)


def tabs(request: HttpRequest) -> list[Link]:
    """Of all pages of the clean-up."""
    urls = [(label, reverse(f"admin:{view}")) for view, label in TABS]
    return [Link(label, url, request.path == url) for label, url in urls]


class SystemRuns(RunList):
    """The runs of one job, which has one task each: what came of it, and its log."""

    list_display = ("run", "status_shown", "trigger_shown", "dry_run", "outcome", "started", "took", "log")

    def complete(self, request: HttpRequest, rows: Sequence[Execution]) -> None:
        super().complete(request, rows)
        tasks = {task.execution_id: task for task in Task.objects.filter(execution__in=[row.pk for row in rows])}
        for row in rows:
            row.__dict__["task"] = tasks.get(row.pk)

    def results(self, attrs: Mapping[str, Any]) -> str:
        """What a finished task says in its parameters, for people."""
        raise NotImplementedError

    @admin.display(description=gettext_lazy("Dry run"))
    def dry_run(self, row: Execution) -> str:
        return _("Yes") if row.extra_attrs.get("dry_run") else _("No")

    @admin.display(description=gettext_lazy("Details"))
    def outcome(self, row: Execution) -> str:
        task: Task | None = row.__dict__["task"]
        if task is None:
            return ""
        if task.status == Status.RUNNING and task.total:
            return format_html(
                '<progress max="{0}" value="{1}" aria-label="{1} / {0}"></progress>', task.total, task.done
            )
        return self.results(task.extra_attrs)

    @admin.display(description=gettext_lazy("Log"))
    def log(self, row: Execution) -> str:
        task: Task | None = row.__dict__["task"]
        return format_html('<a href="{}log/{}/">{}</a>', self.url_of(row), task.pk, _("Show")) if task else ""


class SystemJob:
    """The pages of one job. The fields of `form` are its parameters, as the job is told them."""

    vendor_type: ClassVar[str]
    view: ClassVar[str]  # what the list of its runs is called; one run is called the same without the `s`
    below: ClassVar[str]
    run_title: ClassVar[_StrOrPromise]
    run_label: ClassVar[_StrOrPromise]
    run_intro: ClassVar[_StrOrPromise]
    dry_run_intro: ClassVar[_StrOrPromise] = gettext_lazy("Nothing is removed: the log tells what would be.")
    form: ClassVar[type[forms.Form]]
    runs: ClassVar[type[SystemRuns]]

    def __init__(self, site: PortalSite) -> None:
        self.site = site

    def parameters(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What the job is told, of what was entered."""
        raise NotImplementedError

    def entered(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The reverse, for a form that shows them."""
        raise NotImplementedError

    def facts(self, parameters: Mapping[str, Any]) -> list[tuple[_StrOrPromise, str]]:
        """The parameters of the schedule, for people."""
        raise NotImplementedError

    def tools(self) -> list[tuple[str, str]]:
        """More buttons above the list: label and address."""
        return []

    def urls(self) -> list[URLPattern]:
        site = self.site
        pages = RunPages(
            self._whose,
            lambda view: administrators_only(site, view),
            run_list=self.runs(Execution, site),
            task_list=TaskList(Task, site),
        )
        name = self.view.removesuffix("s")
        mine = {
            f"{self.below}run/": (self.run, f"start_{name}"),
            f"{self.below}dry-run/": (self.dry_run, f"try_{name}"),
            f"{self.below}schedule/": (self.schedule, f"{name}_schedule"),
        }
        return [
            *(path(at, administrators_only(site, view), name=called) for at, (view, called) in mine.items()),
            *pages.urls(self.below, name),
        ]

    def _url(self, prefix: str = "", suffix: str = "s") -> str:
        return reverse(f"admin:{prefix}{self.view.removesuffix('s')}{suffix}")

    def _executions(self) -> Any:
        return Execution.objects.filter(vendor_type=self.vendor_type)

    def _schedule(self) -> Schedule | None:
        return Schedule.objects.filter(vendor_type=self.vendor_type, vendor_id=0).first()

    def _whose(self, request: HttpRequest) -> Runs:
        tools = [
            (str(self.run_label), self._url("start_", "")),
            (_("Dry run"), self._url("try_", "")),
            (_("Schedule"), self._url("", "_schedule")),
        ]
        return Runs(
            rows=self._executions(),
            url=self._url(),
            title=_("Clean up"),
            may_change=True,
            extra={
                "page_tabs": tabs(request),
                "facts": self._facts(),
                "tools": [*tools, *self.tools()],
                "list_title": _("History"),
            },
        )

    def _facts(self) -> list[tuple[_StrOrPromise, str]]:
        last = self._executions().exclude(status=Status.RUNNING).order_by("-end_time").first()
        schedule = self._schedule()
        shown: list[tuple[_StrOrPromise, str]] = [
            (
                _("Last completed"),
                format_html("{} {}", moment(last.end_time), status_badge(last.status)) if last else _("Never"),
            )
        ]
        if schedule is None:
            return [*shown, (_("Schedule"), _("Not scheduled"))]
        paused = dashboard.schedules_are_paused()
        return [
            *shown,
            (_("Schedule"), crons.shown(schedule.cron)),
            (_("Next run"), _("All schedules are paused.") if paused else moment(schedule.next_time)),
            *self.facts(schedule.extra_attrs),
        ]

    def run(self, request: HttpRequest) -> HttpResponse:
        """Ask how, then begin."""
        return self._start(request, dry_run=False)

    def dry_run(self, request: HttpRequest) -> HttpResponse:
        return self._start(request, dry_run=True)

    def _start(self, request: HttpRequest, *, dry_run: bool) -> HttpResponse:
        schedule = self._schedule()
        initial = self.entered(schedule.extra_attrs) if schedule else None

        def save(data: dict[str, Any]) -> str:
            parameters = {**self.parameters(data), "dry_run": dry_run}
            execution = engine.start(vendor_type=self.vendor_type, extra_attrs=parameters, actor=scope.visitor(request))
            return f"{self._url()}{execution.pk}/"

        title = _("Dry run") if dry_run else str(self.run_title)
        return form_page(
            self.site,
            request,
            self.form(scope.posted(request), initial=initial),
            save,
            title=title,
            crumbs=self._crumbs(title),
            intro=self.dry_run_intro if dry_run else self.run_intro,
            success=_("{count} started.").format(count=1),
            next_url=self._url(),
            submit_label=_("Dry run") if dry_run else self.run_label,
            guarded=False,
        )

    def schedule(self, request: HttpRequest) -> HttpResponse:
        """When it runs by itself, and with which parameters."""
        schedule = self._schedule()
        initial: dict[str, Any] = {}
        if schedule:
            initial = {**self.entered(schedule.extra_attrs), **crons.initial(schedule.cron)}
        form = type("ScheduleForm", (_ScheduleFields, self.form), {})

        def save(data: dict[str, Any]) -> None:
            if data["period"] == crons.NEVER:
                schedules.remove(vendor_type=self.vendor_type, actor=scope.visitor(request))
                return
            schedules.put(
                vendor_type=self.vendor_type,
                cron_type=data["period"],
                expression=crons.entered(data),
                extra_attrs={**self.parameters(data), "dry_run": False},
                actor=scope.visitor(request),
            )

        return form_page(
            self.site,
            request,
            form(scope.posted(request), initial=initial),
            save,
            title=_("Schedule"),
            crumbs=self._crumbs(_("Schedule")),
            success=_("The schedule has been saved."),
            next_url=self._url(),
        )

    def _crumbs(self, here: str) -> list[tuple[str, str]]:
        return [(_("Clean up"), self._url()), (here, "")]


class _ScheduleFields(forms.Form):
    """When; the parameters follow."""

    period = crons.schedule_field()
    cron = crons.cron_field("period=Custom")
    field_order = ("period", "cron")
