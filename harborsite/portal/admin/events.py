"""The event log: what ran in the background, how it went, and its logs; for administrators."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _

from harborsite.jobs.models import Execution, Task
from harborsite.portal.pages import administrators_only
from harborsite.portal.runs import KindFilter, RunList, RunPages, Runs, StatusFilter, TaskList


@admin.register(Execution)
class ExecutionAdmin(RunList):
    """Every execution there is."""

    list_display = ("job", "run", "status_shown", "trigger_shown", "started", "took", "total")
    list_filter = (KindFilter, StatusFilter, "trigger")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        pages = RunPages(
            self._whose,
            lambda view: administrators_only(site, view),
            run_list=self,
            task_list=TaskList(Task, site),
        )
        return pages.urls("events/", "event")

    def _whose(self, request: HttpRequest) -> Runs:
        return Runs(rows=Execution.objects.all(), url=reverse("admin:events"), title=_("Event log"), may_change=True)
