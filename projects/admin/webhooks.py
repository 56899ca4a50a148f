"""The Webhooks tab: whom a project tells what, and how the deliveries went."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.jobs.kinds import SLACK, WEBHOOK
from harborsite.jobs.models import Execution, Task, Trigger
from harborsite.portal import runs, scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import ProjectPartAdmin, SwitchedAdmin, form_page
from harborsite.portal.runs import RunList, RunPages, Runs, StatusFilter, TaskList
from harborsite.portal.templatetags.portal import moment
from projects.models import User, WebhookPolicy
from projects.webhooks import Event, policies

EVENTS = {
    Event.PUSH_ARTIFACT: gettext_lazy("Artifact pushed"),
    Event.PULL_ARTIFACT: gettext_lazy("Artifact pulled"),
    Event.DELETE_ARTIFACT: gettext_lazy("Artifact deleted"),
    Event.QUOTA_EXCEED: gettext_lazy("Quota exceeded"),
    Event.QUOTA_WARNING: gettext_lazy("Quota nearly exceeded"),
    Event.REPLICATION: gettext_lazy("Replication finished"),
    Event.TAG_RETENTION: gettext_lazy("Tag retention finished"),
    Event.SCANNING_COMPLETED: gettext_lazy("Scan finished"),
    Event.SCANNING_FAILED: gettext_lazy("Scan failed"),
    Event.SCANNING_STOPPED: gettext_lazy("Scan stopped"),
}
_OF_SCANS = {Event.SCANNING_COMPLETED, Event.SCANNING_FAILED, Event.SCANNING_STOPPED}  # nothing scans yet
TYPES = (("http", "HTTP"), ("slack", "Slack"))
FORMATS = (("Default", gettext_lazy("Default")), ("CloudEvents", "CloudEvents"))
_EVENTS_SHOWN = 2
_HTTP = "notify_type=http"


def event_label(name: str) -> str:
    return str(EVENTS[Event(name)]) if name in Event.values else name


class WebhookForm(forms.Form):
    """Which events are told, to whom, and how."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=128)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    notify_type = forms.ChoiceField(label=gettext_lazy("Notify type"), choices=TYPES)
    payload_format = forms.ChoiceField(
        label=gettext_lazy("Payload format"),
        choices=FORMATS,
        required=False,
        widget=forms.Select(attrs={"data-when": _HTTP}),
    )
    event_types = forms.MultipleChoiceField(
        label=gettext_lazy("Events"), initial=[Event.PUSH_ARTIFACT], widget=forms.CheckboxSelectMultiple
    )
    address = forms.CharField(
        label=gettext_lazy("Endpoint URL"),
        max_length=2048,
        widget=forms.TextInput(attrs={"placeholder": "https://ci.example.com/hooks", "spellcheck": "false"}),
    )
    auth_header = forms.CharField(
        label=gettext_lazy("Auth header"),
        max_length=4096,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "data-when": _HTTP}),
        help_text=gettext_lazy("Sent as Authorization, and the key of the signature in X-Harborsite-Signature."),
    )
    forget_header = forms.BooleanField(label=gettext_lazy("Send no auth header any more"), required=False)
    verify = forms.BooleanField(label=gettext_lazy("Verify the certificate"), required=False, initial=True)
    enabled = forms.BooleanField(label=gettext_lazy("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, policy: WebhookPolicy | None = None, **kwargs: Any) -> None:
        if policy:
            kwargs["initial"] = _initial(policy)
        super().__init__(*args, **kwargs)
        chosen = set(policy.event_types) if policy else set()
        events = self.fields["event_types"]
        if isinstance(events, forms.MultipleChoiceField):
            events.choices = [each for each in EVENTS.items() if each[0] in chosen or each[0] not in _OF_SCANS]
        if policy and policy.targets[0].get("auth_header"):
            kept = _("One is kept. Empty leaves it; another address or weaker checks forget it.")
            self.fields["auth_header"].help_text = kept
        else:
            del self.fields["forget_header"]

    def target(self) -> dict[str, Any]:
        """As the service wants it."""
        data = self.cleaned_data
        http = data["notify_type"] == "http"
        return {
            "type": data["notify_type"],
            "address": data["address"],
            "auth_header": data["auth_header"] if http else "",
            "skip_cert_verify": not data["verify"],
            "payload_format": data["payload_format"] if http else "",
        }


class SampleForm(forms.Form):
    """What the test pretends has happened."""

    event = forms.ChoiceField(label=gettext_lazy("Event"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, events: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        event = self.fields["event"]
        event.initial = events[0]
        if isinstance(event, forms.ChoiceField):
            event.choices = [(name, event_label(name)) for name in events]


def _initial(policy: WebhookPolicy) -> dict[str, Any]:
    target = policy.targets[0]
    return {
        **{name: getattr(policy, name) for name in ("name", "description", "event_types", "enabled")},
        "notify_type": target["type"],
        "payload_format": target.get("payload_format", ""),
        "address": target["address"],
        "verify": not target.get("skip_cert_verify"),
    }


class EventFilter(admin.SimpleListFilter):
    """By what was told."""

    title = gettext_lazy("Event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(event.value, label) for event, label in EVENTS.items() if event not in _OF_SCANS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        return queryset.filter(extra_attrs__event_type=self.value()) if self.value() else queryset


class DeliveryList(RunList):
    """The deliveries of one webhook."""

    list_filter = (StatusFilter, EventFilter)
    list_display = ("run", "event", "job", "status_shown", "started", "took")
    empty_text = gettext_lazy("Nothing has been told yet.")

    @admin.display(description=gettext_lazy("Event"))
    def event(self, row: Execution) -> str:
        name = event_label(str(row.extra_attrs.get("event_type", "")))
        if row.trigger != Trigger.MANUAL:
            return name
        return format_html('{} <span class="badge">{}</span>', name, _("Test"))


class DeliveryTasks(TaskList):
    """The attempts at one delivery."""

    list_display = ("task", "status_shown", "attempts", "started", "ended", "log")

    def facts(self, execution: Execution) -> list[tuple[Any, str]]:
        told = execution.extra_attrs
        return [
            (_("Event"), event_label(str(told.get("event_type", "")))),
            (_("Endpoint URL"), str(told.get("address", ""))),
        ]

    @admin.display(description=gettext_lazy("Task"), ordering="pk")
    def task(self, row: Task) -> str:
        return str(row.pk)

    @admin.display(description=gettext_lazy("Attempts"), ordering="run_count")
    def attempts(self, row: Task) -> int:
        return row.run_count


@admin.register(WebhookPolicy)
class WebhookPolicyAdmin(SwitchedAdmin[WebhookPolicy], ProjectPartAdmin[WebhookPolicy]):
    """The list of webhooks, the form of one, and one with its deliveries."""

    view_action = "notification-policy:list"
    list_display = ("name", "state", "kind", "endpoint", "events", "last_run", "created", "about")
    search_fields = ("name", "description")
    ordering = ("name",)
    actions = ("enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No webhook yet.")

    def get_urls(self) -> list[URLPattern]:
        site, inside = self.admin_site, "projects/<str:project>/webhooks/"
        one = f"{inside}<int:policy_id>/"
        pages = RunPages(
            self._runs_of,
            lambda view: self.in_project(view, "notification-policy:read"),
            run_list=DeliveryList(Execution, site),
            task_list=DeliveryTasks(Task, site),
        )
        return [
            path(inside, self.in_project(self.webhooks), name="webhooks"),
            path(f"{inside}new/", self.in_project(self.webhook_form, "notification-policy:create"), name="new_webhook"),
            path(f"{one}edit/", self.in_project(self.webhook_form, "notification-policy:update"), name="webhook"),
            path(f"{one}test/", self.in_project(self.send_test, "notification-policy:update"), name="test_webhook"),
            *pages.urls(one, "webhook_run"),
        ]

    def has_change_permission(self, request: HttpRequest, obj: WebhookPolicy | None = None) -> bool:
        return scope.current(request).allows("notification-policy:update")

    def has_delete_permission(self, request: HttpRequest, obj: WebhookPolicy | None = None) -> bool:
        return scope.current(request).allows("notification-policy:delete")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookPolicy]:
        return super().get_queryset(request).select_related("project")

    def complete(self, request: HttpRequest, rows: Sequence[WebhookPolicy]) -> None:
        found = runs.latest([WEBHOOK, SLACK], [row.pk for row in rows])
        for row in rows:
            row.__dict__["last_run"] = found.get(row.pk)

    def url_of(self, row: WebhookPolicy) -> str:
        return reverse("admin:webhook_runs", args=[row.project.name, row.pk])

    @admin.display(description=gettext_lazy("State"), ordering="enabled")
    def state(self, row: WebhookPolicy) -> str:
        return runs.state_badge(row.enabled)

    @admin.display(description=gettext_lazy("Notify type"))
    def kind(self, row: WebhookPolicy) -> str:
        target = row.targets[0]
        parts = [str(dict(TYPES)[target["type"]])]
        if named := target.get("payload_format"):
            parts.append(str(dict(FORMATS)[named]))
        return ", ".join(parts)

    @admin.display(description=gettext_lazy("Endpoint URL"))
    def endpoint(self, row: WebhookPolicy) -> str:
        more = f" +{len(row.targets) - 1}" if len(row.targets) > 1 else ""
        return format_html('<span class="mono">{}</span>{}', row.targets[0]["address"], more)

    @admin.display(description=gettext_lazy("Events"))
    def events(self, row: WebhookPolicy) -> str:
        more = len(row.event_types) - _EVENTS_SHOWN
        shown = ", ".join(map(event_label, row.event_types[:_EVENTS_SHOWN]))
        return format_html('{} <span class="more">+{}</span>', shown, more) if more > 0 else shown

    @admin.display(description=gettext_lazy("Last delivery"))
    def last_run(self, row: WebhookPolicy) -> str:
        return runs.last_run(row.__dict__["last_run"])

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: WebhookPolicy) -> str:
        return moment(row.creation_time)

    @admin.display(description=gettext_lazy("Description"))
    def about(self, row: WebhookPolicy) -> str:
        return row.description

    def _list_url(self, request: HttpRequest) -> str:
        return reverse("admin:webhooks", args=[scope.current(request).project.name])

    def webhooks(self, request: HttpRequest) -> HttpResponse:
        here = scope.current(request)
        buttons = []
        if self.has_change_permission(request):
            buttons += [("enable", _("Enable")), ("disable", _("Disable"))]
        if self.has_delete_permission(request):
            buttons.append(("delete_chosen", _("Delete")))
        may_add = here.allows("notification-policy:create")
        return self.list_page(
            request,
            _("Webhooks"),
            add_url=reverse("admin:new_webhook", args=[here.project.name]) if may_add else None,
            add_label=_("New webhook"),
            action_buttons=buttons,
        )

    def webhook_form(self, request: HttpRequest, policy_id: int | None = None) -> HttpResponse:
        """Make one, or change the one of this id."""
        here, user = scope.current(request), scope.signed_in(request)
        policy = get_object_or_404(self.get_queryset(request), pk=policy_id) if policy_id else None
        form = WebhookForm(scope.posted(request), policy=policy)
        check_while_typing(form, name=partial(policies.check_name, project=here.project, policy=policy))

        def save(data: dict[str, Any]) -> str:
            same = {name: data[name] for name in ("name", "description", "enabled", "event_types")}
            if policy is None:
                made = policies.create_policy(project=here.project, targets=[form.target()], actor=user, **same)
                return self.url_of(made)
            forget = data.get("forget_header", False)
            targets = policies.with_first_target(policy, form.target(), forget_header=forget)
            policies.update_policy(policy=policy, targets=targets, actor=user, **same)
            return self.url_of(policy)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Edit webhook") if policy else _("New webhook"),
            success=_("The webhook has been saved."),
            next_url=self.url_of(policy) if policy else self._list_url(request),
        )

    def send_test(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """Ask which event, then tell a made-up one and show how its delivery goes."""
        user = scope.signed_in(request)
        policy = get_object_or_404(self.get_queryset(request), pk=policy_id)
        form = SampleForm(scope.posted(request), events=policy.event_types)

        def send(data: dict[str, Any]) -> str:
            delivery, *_others = policies.send_test(policy=policy, event=data["event"], actor=user)
            return f"{self.url_of(policy)}{delivery.pk}/"

        return form_page(
            self.admin_site,
            request,
            form,
            send,
            title=_("Send a test to {name}").format(name=policy.name),
            intro=_(
                "A made-up event is sent to {addresses}. Whoever acts on such events will take it for a real one."
            ).format(addresses=", ".join(target["address"] for target in policy.targets)),
            submit_label=_("Send"),
            guarded=False,
            success=_("The test is being delivered."),
            next_url=self.url_of(policy),
        )

    def _runs_of(self, request: HttpRequest, policy_id: int) -> Runs:
        policy = get_object_or_404(self.get_queryset(request), pk=policy_id)
        may_change = self.has_change_permission(request)
        parts = [policy.project.name, policy_id]
        tools = [
            (_("Send a test"), reverse("admin:test_webhook", args=parts)),
            (_("Edit"), reverse("admin:webhook", args=parts)),
        ]
        return Runs(
            rows=policies.executions(policy),
            url=self.url_of(policy),
            title=policy.name,
            may_change=may_change,
            crumbs=[(_("Webhooks"), self._list_url(request))],
            extra={
                "facts": self._facts(policy),
                "tools": tools if may_change else [],
                "list_title": _("Deliveries"),
            },
        )

    def _facts(self, policy: WebhookPolicy) -> list[tuple[str, str]]:
        target = policy.targets[0]
        found = [
            (_("State"), self.state(policy)),
            (_("Notify type"), self.kind(policy)),
            (_("Endpoint URL"), self.endpoint(policy)),
            (_("Auth header"), _("Yes") if target.get("auth_header") else _("No")),
            (_("Certificate verified"), _("No") if target.get("skip_cert_verify") else _("Yes")),
            (_("Events"), ", ".join(map(event_label, policy.event_types))),
            (_("Description"), policy.description),
        ]
        return [(name, value) for name, value in found if value]

    def switch(self, row: WebhookPolicy, *, on: bool, actor: User) -> None:
        policies.set_enabled(policy=row, enabled=on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[WebhookPolicy]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda policy: policies.delete_policy(policy=policy, actor=user),
            _("{count} deleted."),
            title=_("Delete webhooks?"),
            warning=_("Nothing is told to them any more."),
            submit_label=_("Delete"),
        )
