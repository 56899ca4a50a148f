"""Administration › Replications: the rules, and what they did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.errors import AppError
from harborsite.jobs import dashboard
from harborsite.jobs.models import Execution, Schedule, Task
from harborsite.portal import runs, scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import SwitchedAdmin, administrators_only, form_page
from harborsite.portal.runs import RunList, RunPages, Runs, TaskList, TaskStatusFilter
from harborsite.portal.templatetags.portal import moment
from harborsite.principal import Principal
from projects.models import User
from replication.admin.forms import LEVELS, RESOURCES, RuleForm, filter_texts
from replication.models import VENDOR_TYPE, Registry, ReplicationPolicy
from replication.services import executions, policies
from replication.services.planning import COPY, DELETION, TAG_DELETION

OPERATIONS = {
    COPY: gettext_lazy("copy"),
    DELETION: gettext_lazy("delete"),
    TAG_DELETION: gettext_lazy("delete tags"),
}


_COUNTED = re.compile(r"(.*) \[(\d+) item\(s\) in total\]")


def _resource(told: object) -> str:
    """`NAME [3 item(s) in total]`, as it is on the wire, in the reader's language."""
    counted = _COUNTED.fullmatch(str(told))
    if counted is None:
        return format_html("{}", told)
    count = int(counted[2])
    items = ngettext("{count} item", "{count} items", count).format(count=count)
    return format_html('{} <span class="more">{}</span>', counted[1], items)


class StateFilter(admin.SimpleListFilter):
    """By whether it is enabled."""

    title = gettext_lazy("State")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("on", _("Enabled")), ("off", _("Disabled"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(enabled=self.value() == "on") if self.value() in {"on", "off"} else queryset


class ResourceFilter(admin.SimpleListFilter):
    """By what is copied."""

    title = gettext_lazy("Resource")
    parameter_name = "resource"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, label in RESOURCES if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        return queryset.filter(extra_attrs__resource_type=self.value()) if self.value() else queryset


class ReplicationTasks(TaskList):
    """One repository each."""

    list_display = (
        *("task", "status_shown", "progress", "log", "source", "destination"),
        *("operation", "resource", "started", "ended"),
    )
    list_filter = (TaskStatusFilter, ResourceFilter)
    searched = ("src_resource", "dst_resource")
    search_help_text = gettext_lazy("Search by number, source, destination")

    def facts(self, execution: Execution) -> list[tuple[Any, str]]:
        event = execution.extra_attrs.get("event")
        return [(_("Repository"), str(event["repository"]))] if event else []

    def retry(self, task: Task, *, actor: Principal) -> None:
        executions.retry_task(task=task, actor=actor)

    @admin.display(description=gettext_lazy("Task"), ordering="pk")
    def task(self, row: Task) -> str:
        return str(row.pk)

    @admin.display(description=gettext_lazy("Resource"))
    def resource(self, row: Task) -> str:
        kind = str(row.extra_attrs.get("resource_type", ""))
        return str(dict(RESOURCES).get(kind, kind))

    @admin.display(description=gettext_lazy("Source"))
    def source(self, row: Task) -> str:
        return _resource(row.extra_attrs.get("src_resource", ""))

    @admin.display(description=gettext_lazy("Destination"))
    def destination(self, row: Task) -> str:
        return _resource(row.extra_attrs.get("dst_resource", ""))

    @admin.display(description=gettext_lazy("Operation"))
    def operation(self, row: Task) -> str:
        name = str(row.extra_attrs.get("operation", ""))
        return str(OPERATIONS.get(name, name))


@admin.register(ReplicationPolicy)
class ReplicationPolicyAdmin(SwitchedAdmin[ReplicationPolicy]):
    """The list of rules, the form of one, and a rule with its executions."""

    list_display = (
        *("name", "state", "mode", "source", "destination", "trigger_shown"),
        *("last_run", "bandwidth", "about"),
    )
    search_fields = ("name", "description")
    list_filter = (StateFilter, "trigger")
    list_select_related = ("src_registry", "dest_registry")
    ordering = ("name",)
    actions = ("replicate", "enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No replication rule yet.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        one = "replications/<int:policy_id>/"
        pages = RunPages(
            self._runs_of,
            lambda view: administrators_only(site, view),
            run_list=RunList(Execution, site),
            task_list=ReplicationTasks(Task, site),
        )
        return [
            path("replications/", administrators_only(site, self.rules), name="replications"),
            path("replications/new/", administrators_only(site, self.rule_form), name="new_replication"),
            path(f"{one}edit/", administrators_only(site, self.rule_form), name="replication"),
            path(f"{one}start/", administrators_only(site, self.start), name="start_replication"),
            *pages.urls(one, "replication_run"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: ReplicationPolicy | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def complete(self, request: HttpRequest, rows: Sequence[ReplicationPolicy]) -> None:
        found = runs.latest([VENDOR_TYPE], [row.pk for row in rows])
        for row in rows:
            row.__dict__["last_run"] = found.get(row.pk)

    def url_of(self, row: ReplicationPolicy) -> str:
        return reverse("admin:replication_runs", args=[row.pk])

    @admin.display(description=gettext_lazy("State"), ordering="enabled")
    def state(self, row: ReplicationPolicy) -> str:
        return runs.state_badge(row.enabled)

    @admin.display(description=gettext_lazy("Mode"))
    def mode(self, row: ReplicationPolicy) -> str:
        return _("Push") if row.is_push else _("Pull")

    @admin.display(description=gettext_lazy("Source"), ordering="src_registry__name")
    def source(self, row: ReplicationPolicy) -> str:
        return str(row.src_registry or _("This registry"))

    @admin.display(description=gettext_lazy("Destination"), ordering="dest_registry__name")
    def destination(self, row: ReplicationPolicy) -> str:
        """With the namespace, and how much of a name it replaces."""
        place = str(row.dest_registry or _("This registry"))
        if not row.dest_namespace:
            return place
        count = row.dest_namespace_replace_count
        levels = dict(LEVELS).get(count, count)
        return format_html('{} : {} <span class="more">{}</span>', place, row.dest_namespace, levels)

    @admin.display(description=gettext_lazy("Trigger"), ordering="trigger")
    def trigger_shown(self, row: ReplicationPolicy) -> str:
        label = str(ReplicationPolicy.Trigger(row.trigger).label)
        return format_html('{} <span class="mono">{}</span>', label, row.cron) if row.cron else label

    @admin.display(description=gettext_lazy("Last run"))
    def last_run(self, row: ReplicationPolicy) -> str:
        return runs.last_run(row.__dict__["last_run"])

    @admin.display(description=gettext_lazy("Bandwidth"), ordering="speed")
    def bandwidth(self, row: ReplicationPolicy) -> str:
        return f"{row.speed} KB/s" if row.speed else _("without limit")

    @admin.display(description=gettext_lazy("Description"))
    def about(self, row: ReplicationPolicy) -> str:
        return row.description

    def rules(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Replications"),
            add_url=reverse("admin:new_replication"),
            add_label=_("New replication rule"),
            action_buttons=[
                ("replicate", _("Replicate")),
                ("enable", _("Enable")),
                ("disable", _("Disable")),
                ("delete_chosen", _("Delete")),
            ],
        )

    def _crumbs(self, policy: ReplicationPolicy | None, here: str) -> list[tuple[str, str]]:
        above = [(policy.name, self.url_of(policy))] if policy else []
        return [(_("Replications"), reverse("admin:replications")), *above, (here, "")]

    def rule_form(self, request: HttpRequest, policy_id: int | None = None) -> HttpResponse:
        """Make a rule, or change the one of this id."""
        rows = ReplicationPolicy.objects.select_related("src_registry", "dest_registry")
        policy = get_object_or_404(rows, pk=policy_id) if policy_id else None
        form, user = RuleForm(scope.posted(request), policy=policy), scope.signed_in(request)
        check_while_typing(form, name=partial(policies.check_name, policy=policy))
        title = _("Edit replication rule") if policy else _("New replication rule")
        crumbs = self._crumbs(policy, title)

        def save(data: dict[str, Any]) -> str:
            if policy:
                policies.update_policy(policy=policy, description=form.described(), actor=user)
                return self.url_of(policy)
            return self.url_of(policies.create_policy(description=form.described(), actor=user))

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=title,
            crumbs=crumbs,
            success=_("The replication rule has been saved."),
            next_url=self.url_of(policy) if policy else reverse("admin:replications"),
            template="replication/rule_form.html",
            has_registries=Registry.objects.exists(),
        )

    def _runs_of(self, request: HttpRequest, policy_id: int) -> Runs:
        policy = get_object_or_404(
            ReplicationPolicy.objects.select_related("src_registry", "dest_registry"), pk=policy_id
        )
        tools = [(_("Edit"), reverse("admin:replication", args=[policy_id]))]
        if policy.enabled:
            tools.insert(0, (_("Replicate now"), reverse("admin:start_replication", args=[policy_id])))
        return Runs(
            rows=Execution.objects.filter(vendor_type=VENDOR_TYPE, vendor_id=policy_id),
            url=self.url_of(policy),
            title=policy.name,
            may_change=True,
            crumbs=[(_("Replications"), reverse("admin:replications"))],
            extra={"facts": self._facts(policy), "tools": tools, "list_title": _("Executions")},
        )

    def _facts(self, policy: ReplicationPolicy) -> list[tuple[str, str]]:
        options = {
            _("Override"): policy.override,
            _("Copy by chunk"): policy.copy_by_chunk,
            _("One run at a time"): policy.single_active_replication,
            _("Delete remote resources when they are deleted here"): policy.replicate_deletion,
        }
        found = [
            (_("State"), self.state(policy)),
            (_("Source"), self.source(policy)),
            (_("Destination"), self.destination(policy)),
            (_("Filters"), "; ".join(filter_texts(policy.filters)) or _("everything")),
            (_("Trigger"), self.trigger_shown(policy)),
            (_("Next run"), self._next_run(policy)),
            (_("Bandwidth"), self.bandwidth(policy)),
            (_("Options"), ", ".join(name for name, chosen in options.items() if chosen)),
            (_("Description"), policy.description),
        ]
        return [(name, value) for name, value in found if value]

    def _next_run(self, policy: ReplicationPolicy) -> str:
        schedule = Schedule.objects.filter(vendor_type=VENDOR_TYPE, vendor_id=policy.pk).first()
        if schedule is None:
            return ""
        return _("paused") if dashboard.schedules_are_paused() else moment(schedule.next_time)

    def start(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """Ask, then begin a run."""
        policy = get_object_or_404(ReplicationPolicy, pk=policy_id)
        if request.method != "POST":
            texts = {"title": _("Replicate now?"), "warning": _START_WARNING, "submit_label": _("Replicate")}
            return self.page(
                request, "portal/confirmation.html", rows=[policy.name], back_url=self.url_of(policy), **texts
            )
        try:
            executions.start(policy=policy, operator=scope.visitor(request).username)
        except AppError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("{count} started.").format(count=1))
        return HttpResponseRedirect(self.url_of(policy))

    @admin.action(permissions=["change"], description=gettext_lazy("Replicate"))
    def replicate(self, request: HttpRequest, rows: QuerySet[ReplicationPolicy]) -> HttpResponse | None:
        return self.after_a_question(
            request,
            "replicate",
            rows,
            lambda policy: executions.start(policy=policy, operator=scope.visitor(request).username),
            _("{count} started."),
            title=_("Replicate now?"),
            warning=_START_WARNING,
            submit_label=_("Replicate"),
            harmless=True,
        )

    def switch(self, row: ReplicationPolicy, *, on: bool, actor: User) -> None:
        policies.set_enabled(policy=row, enabled=on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[ReplicationPolicy]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda policy: policies.delete_policy(policy=policy, actor=user),
            _("{count} deleted."),
            title=_("Delete replication rules?"),
            warning=_("What is known of their runs goes with them; what they have copied stays."),
            submit_label=_("Delete"),
        )


_START_WARNING = gettext_lazy("Everything that the rule means and the destination does not have is copied.")
