"""The job service dashboard: queues, schedules and workers; for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from harborsite.jobs import dashboard
from harborsite.jobs.kinds import SCHEDULER
from harborsite.jobs.models import Schedule, Task
from harborsite.portal import charts, scope
from harborsite.portal.navigation import Link
from harborsite.portal.pages import PortalAdmin, administrators_only
from harborsite.portal.runs import clock, kind_label
from harborsite.portal.templatetags.portal import moment

_POLL_SECONDS = 10
_SHOWN_KINDS = 2  # of those with the most tasks waiting


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What a confirmation names, and what it posts again."""

    pk: str
    label: str

    def __str__(self) -> str:
        return self.label


@admin.register(Schedule)
class ScheduleAdmin(PortalAdmin[Schedule]):
    """The three tabs: the queues, the schedules, the workers."""

    list_display = ("number", "kind", "vendor_id", "cron_shown", "next_run", "updated")
    list_display_links = None
    ordering = ("vendor_type", "vendor_id")
    empty_text = gettext_lazy("Nothing is scheduled.")
    change_list_template = "portal/jobservice/schedules.html"

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "": (self.queues, "job_queues"),
            "schedules/": (self.schedules, "job_schedules"),
            "scheduler/": (require_POST(self.steer_scheduler), "job_scheduler"),
            "workers/": (self.workers, "job_workers"),
            "stop-waiting/": (self.stop_waiting, "stop_waiting_jobs"),
            "stop-running/": (self.stop_running, "stop_running_jobs"),
        }
        return [
            path(f"job-service/{below}", administrators_only(self.admin_site, view), name=name)
            for below, (view, name) in pages.items()
        ]

    def has_view_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return scope.visitor(request).is_superuser

    def complete(self, request: HttpRequest, rows: Sequence[Schedule]) -> None:
        paused = dashboard.schedules_are_paused()
        for row in rows:
            row.__dict__["paused"] = paused

    @admin.display(description=gettext_lazy("Number"), ordering="pk")
    def number(self, row: Schedule) -> int:
        return int(row.pk)

    @admin.display(description=gettext_lazy("Kind"), ordering="vendor_type")
    def kind(self, row: Schedule) -> str:
        return kind_label(row.vendor_type)

    @admin.display(description=gettext_lazy("Cron (UTC)"))
    def cron_shown(self, row: Schedule) -> str:
        return format_html('<span class="mono">{}</span>', row.cron)

    @admin.display(description=gettext_lazy("Next run"), ordering="next_time")
    def next_run(self, row: Schedule) -> str:
        return _("paused") if row.__dict__["paused"] else moment(row.next_time)

    @admin.display(description=gettext_lazy("Updated"), ordering="update_time")
    def updated(self, row: Schedule) -> str:
        return moment(row.update_time)

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        """The cards and tabs above each of the three."""
        queues = dashboard.queues()
        waiting = sorted((queue for queue in queues if queue.count), key=lambda queue: -queue.count)
        pools, work = dashboard.pools(), dashboard.work()
        number, busy = sum(len(pool.workers) for pool in pools), sum(w.name in work for p in pools for w in p.workers)
        workers = charts.parts([(_("Busy"), busy), (_("Free"), number - busy)])
        tabs = (("job_queues", _("Queues")), ("job_schedules", _("Schedules")), ("job_workers", _("Workers")))
        urls = [(label, reverse(f"admin:{view}")) for view, label in tabs]
        return {
            "queues": queues,
            "pools": pools,
            "waiting": sum(queue.count for queue in waiting),
            "most_waiting": [(kind_label(queue.kind), queue.count) for queue in waiting[:_SHOWN_KINDS]],
            "others_waiting": sum(queue.count for queue in waiting[_SHOWN_KINDS:]),
            "schedule_count": Schedule.objects.count(),
            "schedules_paused": any(queue.paused for queue in queues if queue.kind == SCHEDULER),
            "workers_busy": busy,
            "workers_all": number,
            "workers": workers,
            "workers_chart": charts.donut(workers, _("{busy} of {all} busy").format(busy=busy, all=number)),
            "page_tabs": [Link(label, url, request.path == url) for label, url in urls],
            "poll_seconds": _POLL_SECONDS,
        }

    def queues(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            return self._steer_queues(request)
        frame = self._frame(request)
        rows = [(queue, kind_label(queue.kind), clock(queue.latency)) for queue in frame["queues"]]
        return self.page(request, "portal/jobservice/queues.html", title=_("Job service"), rows=rows, **frame)

    def _steer_queues(self, request: HttpRequest) -> HttpResponse:
        here, action = reverse("admin:job_queues"), request.POST.get("action", "")
        kinds = [kind for kind in dashboard.QUEUES if kind in request.POST.getlist("_selected_action")]
        if action == dashboard.STOP and "confirmed" not in request.POST:
            return self.page(
                request,
                "portal/confirmation.html",
                title=_("Stop the jobs that wait?"),
                warning=_("Every job of these kinds that has not begun is given up."),
                rows=[_Chosen(kind, kind_label(kind)) for kind in kinds],
                action=action,
                submit_label=_("Stop"),
                back_url=here,
            )
        if action in {dashboard.STOP, dashboard.PAUSE, dashboard.RESUME}:
            for kind in kinds:
                dashboard.steer(kind=kind, action=action, actor=scope.visitor(request))
            done = {
                dashboard.STOP: _("{count} queues emptied."),
                dashboard.PAUSE: _("{count} queues paused."),
                dashboard.RESUME: _("{count} queues go on."),
            }
            messages.success(request, done[action].format(count=len(kinds)))
        return HttpResponseRedirect(here)

    def schedules(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(request, _("Job service"), **self._frame(request))

    def steer_scheduler(self, request: HttpRequest) -> HttpResponse:
        """Let all schedules wait, or go on."""
        pause = request.POST.get("action") == dashboard.PAUSE
        action = dashboard.PAUSE if pause else dashboard.RESUME
        dashboard.steer(kind=SCHEDULER, action=action, actor=scope.visitor(request))
        messages.success(request, _("All schedules are paused.") if pause else _("The schedules go on."))
        return HttpResponseRedirect(reverse("admin:job_schedules"))

    def workers(self, request: HttpRequest) -> HttpResponse:
        here = reverse("admin:job_workers")
        if request.method == "POST":
            chosen = set(request.POST.getlist("_selected_action"))
            tasks = [task for name, task in dashboard.work().items() if name in chosen]
            if "confirmed" in request.POST:
                return self._stopped(request, tasks, here)
            return self._ask_to_stop(request, [_Chosen(task.worker, _job(task)) for task in tasks], here)
        frame, work = self._frame(request), dashboard.work()
        rows = [
            (worker, task, kind_label(task.vendor_type) if task else "")
            for pool in frame["pools"]
            for worker in pool.workers
            for task in [work.get(worker.name)]
        ]
        return self.page(request, "portal/jobservice/workers.html", title=_("Job service"), rows=rows, **frame)

    def stop_running(self, request: HttpRequest) -> HttpResponse:
        """All of them, of every kind."""
        here, tasks = reverse("admin:job_workers"), list(dashboard.running())
        if request.method == "POST":
            return self._stopped(request, tasks, here)
        return self._ask_to_stop(request, [_Chosen("", _job(task)) for task in tasks], here)

    def stop_waiting(self, request: HttpRequest) -> HttpResponse:
        """All of them, of every kind."""
        here = reverse("admin:job_queues")
        if request.method == "POST":
            for kind in dashboard.QUEUES:
                dashboard.steer(kind=kind, action=dashboard.STOP, actor=scope.visitor(request))
            messages.success(request, _("No job waits any more."))
            return HttpResponseRedirect(here)
        queues = [queue for queue in dashboard.queues() if queue.count]
        return self.page(
            request,
            "portal/confirmation.html",
            title=_("Stop the jobs that wait?"),
            warning=_("Every job of these kinds that has not begun is given up."),
            rows=[_Chosen("", f"{kind_label(queue.kind)}: {queue.count}") for queue in queues],
            submit_label=_("Stop"),
            back_url=here,
        )

    def _ask_to_stop(self, request: HttpRequest, rows: list[_Chosen], back: str) -> HttpResponse:
        return self.page(
            request,
            "portal/confirmation.html",
            title=_("Stop what the workers do?"),
            warning=_("The jobs end as soon as they look; the workers then take the next ones."),
            rows=rows,
            submit_label=_("Stop"),
            back_url=back,
        )

    def _stopped(self, request: HttpRequest, tasks: list[Task], back: str) -> HttpResponse:
        dashboard.stop_tasks(tasks, actor=scope.visitor(request))
        messages.success(request, _("{count} asked to stop.").format(count=len(tasks)))
        return HttpResponseRedirect(back)


def _job(task: Task) -> str:
    return f"{kind_label(task.vendor_type)} {task.pk}"
