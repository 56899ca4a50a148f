"""The Policy tab of a project: what tag retention keeps, and which tags are immutable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import AppError
from harborsite.jobs import dashboard
from harborsite.jobs.kinds import RETENTION
from harborsite.jobs.models import Execution, Task
from harborsite.portal import crons, scope
from harborsite.portal.navigation import Link
from harborsite.portal.pages import ProjectPartAdmin, SwitchedAdmin, form_page
from harborsite.portal.runs import RunList, RunPages, Runs, TaskList, state_badge
from harborsite.portal.templatetags.portal import moment
from projects.models import Project, User
from registry.admin import rules
from registry.admin.policyforms import RunForm, ScheduleForm
from registry.models import ImmutableRule, RetentionPolicy
from registry.policies import immutability, judgement, retention, sweeping
from registry.policies.judgement import Judgement, Verdict

_MOST_ARTIFACTS = 1000
_LOOKS = {Verdict.RETAIN: "role", Verdict.IMMUTABLE: "public", Verdict.DELETE: "off"}


def _tabs(request: HttpRequest, project: Project) -> list[Link]:
    here = scope.current(request)
    found = [
        ("policy", _("Tag retention"), "tag-retention:read"),
        ("immutable_rules", _("Immutable tags"), "immutable-tag:list"),
    ]
    urls = [
        (label, reverse(f"admin:{view}", args=[project.name])) for view, label, action in found if here.allows(action)
    ]
    return [Link(label, url, request.path == url) for label, url in urls]


class RetentionRuns(RunList):
    """The runs of one policy."""

    list_display = ("run", "status_shown", "dry_run", "trigger_shown", "started", "took", "total")
    change_list_template = "registry/retention.html"
    empty_text = gettext_lazy("The policy has not run yet.")

    @admin.display(description=gettext_lazy("Dry run"))
    def dry_run(self, row: Execution) -> str:
        return _("Yes") if row.extra_attrs.get("dry_run") else _("No")


class RetentionTasks(TaskList):
    """One repository each."""

    list_display = ("task", "repository", "status_shown", "retained", "started", "took", "log")
    searched = ("repository",)
    search_help_text = gettext_lazy("Search by number, repository")

    def facts(self, execution: Execution) -> list[tuple[Any, str]]:
        return [(_("Dry run"), _("Yes") if execution.extra_attrs.get("dry_run") else _("No"))]

    @admin.display(description=gettext_lazy("Task"), ordering="pk")
    def task(self, row: Task) -> str:
        return str(row.pk)

    @admin.display(description=gettext_lazy("Repository"))
    def repository(self, row: Task) -> str:
        return format_html('<span class="mono">{}</span>', row.extra_attrs.get("repository", ""))

    @admin.display(description=gettext_lazy("Retained of all"))
    def retained(self, row: Task) -> str:
        attrs = row.extra_attrs
        return f"{attrs['retained']} / {attrs['total']}" if "total" in attrs else ""


@admin.register(RetentionPolicy)
class RetentionAdmin(ProjectPartAdmin[RetentionPolicy]):
    """The rules with their runs on one page, and the forms behind it."""

    view_action = "tag-retention:read"

    def get_urls(self) -> list[URLPattern]:
        site, at = self.admin_site, "projects/<str:project>/policy/"
        pages = RunPages(
            self._whose,
            self.in_project,
            run_list=RetentionRuns(Execution, site),
            task_list=RetentionTasks(Task, site),
        )
        change = "tag-retention:update"
        return [
            path(f"{at}preview/", self.in_project(self.preview), name="retention_preview"),
            path(f"{at}rules/new/", self.in_project(self.rule_form, change), name="new_retention_rule"),
            path(f"{at}rules/<str:name>/", self.in_project(self.rule_form, change), name="retention_rule"),
            path(f"{at}rules/<str:name>/switch/", self.in_project(self.switch, change), name="switch_retention_rule"),
            path(f"{at}rules/<str:name>/delete/", self.in_project(self.delete, change), name="delete_retention_rule"),
            path(f"{at}schedule/", self.in_project(self.schedule, change), name="retention_schedule"),
            path(f"{at}run/", self.in_project(self.run, change), name="run_retention"),
            path(f"{at}dry-run/", self.in_project(self.dry_run, change), name="try_retention"),
            path(at, pages.list_view(), name="policy"),
            *pages.urls(f"{at}runs/", "retention_run"),
        ]

    def _policy(self, request: HttpRequest) -> RetentionPolicy | None:
        return RetentionPolicy.objects.filter(project=scope.current(request).project).first()

    def _url(self, request: HttpRequest, view: str = "policy", *more: str) -> str:
        return reverse(f"admin:{view}", args=[scope.current(request).project.name, *more])

    def _whose(self, request: HttpRequest) -> Runs:
        here, policy = scope.current(request), self._policy(request)
        may_change = here.allows("tag-retention:update")
        tools = []
        if policy and policy.rules:
            tools = [(_("Preview"), self._url(request, "retention_preview"))]
        if policy and policy.rules and may_change:
            tools += [
                (_("Run now"), self._url(request, "run_retention")),
                (_("Dry run"), self._url(request, "try_retention")),
            ]
        return Runs(
            rows=Execution.objects.filter(vendor_type=RETENTION, vendor_id=policy.pk if policy else 0),
            url=self._url(request, "retention_runs"),
            title=_("Tag retention"),
            may_change=may_change,
            extra={
                "page_tabs": _tabs(request, here.project),
                "tabs_label": _("Policy"),
                "rules": rules.rule_rows(policy.rules if policy else []),
                "most_rules": retention.MAX_RULES,
                "may_change": may_change,
                "facts": self._facts(policy),
                "tools": tools,
                "list_title": _("Runs"),
            },
        )

    def _facts(self, policy: RetentionPolicy | None) -> list[tuple[str, str]]:
        following = retention.next_run(policy) if policy else None
        if policy is None or following is None:
            return [(_("Schedule"), _("Not scheduled"))]
        next_run = _("All schedules are paused.") if dashboard.schedules_are_paused() else moment(following)
        return [(_("Schedule"), crons.shown(policy.cron)), (_("Next run"), next_run)]

    def rule_form(self, request: HttpRequest, name: str = "") -> HttpResponse:
        """Add a rule, or change the one that is called so."""
        project, user = scope.current(request).project, scope.signed_in(request)
        rule = self._rule(request, name) if name else None
        form = rules.RetentionRuleForm(scope.posted(request), rule=rule)

        def save(data: dict[str, Any]) -> None:
            if name:
                retention.replace_rule(project=project, name=name, rule=form.rule(), actor=user)
            else:
                retention.add_rule(project=project, rule=form.rule(), actor=user)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Edit retention rule") if name else _("New retention rule"),
            success=_("The rule has been saved."),
            next_url=self._url(request),
            intro=_("What no rule keeps is deleted by a run, with all its tags. Immutable tags always stay."),
            ready=not name,
        )

    def _rule(self, request: HttpRequest, name: str) -> dict[str, Any]:
        policy = self._policy(request)
        for rule in policy.rules if policy else ():
            if retention.fingerprint(rule) == name:
                return dict(rule)
        raise Http404

    def switch(self, request: HttpRequest, name: str) -> HttpResponse:
        """Off, or on again."""
        if request.method == "POST":
            rule = self._rule(request, name)
            changed = {**rule, "disabled": not rule.get("disabled")}
            self._replace(request, name, changed, _("The rule has been saved."))
        return HttpResponseRedirect(self._url(request))

    def delete(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask, then forget the rule."""
        rule = self._rule(request, name)
        if request.method != "POST":
            return self.page(
                request,
                "portal/confirmation.html",
                title=_("Delete this rule?"),
                warning=_("What it alone keeps goes with the next run of the policy."),
                rows=[rules.retention_sentence(rule)],
                submit_label=_("Delete"),
                back_url=self._url(request),
            )
        self._replace(request, name, None, _("The rule has been deleted."))
        return HttpResponseRedirect(self._url(request))

    def _replace(self, request: HttpRequest, name: str, rule: dict[str, Any] | None, done: str) -> None:
        project, user = scope.current(request).project, scope.signed_in(request)
        try:
            retention.replace_rule(project=project, name=name, rule=rule, actor=user)
        except AppError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, done)

    def schedule(self, request: HttpRequest) -> HttpResponse:
        project, user, policy = scope.current(request).project, scope.signed_in(request), self._policy(request)
        cron = policy.cron if policy else ""

        def save(data: dict[str, Any]) -> None:
            wanted = "" if data["period"] == crons.NEVER else crons.entered(data)
            retention.set_cron(project=project, cron=wanted, actor=user)

        return form_page(
            self.admin_site,
            request,
            ScheduleForm(scope.posted(request), initial=crons.initial(cron) if cron else None),
            save,
            title=_("Schedule of tag retention"),
            intro=_("Every run deletes what no rule keeps: look at the preview first."),
            success=_("The schedule has been saved."),
            next_url=self._url(request),
        )

    def run(self, request: HttpRequest) -> HttpResponse:
        """Say how much would go, ask, then begin."""
        policy = self._existing(request)
        expected = sweeping.forecast(policy, judgement.repositories(policy))
        user = scope.signed_in(request)
        intro = _("{deleted} of {total} artifacts would be deleted now ({percent}%).").format(
            deleted=expected.deleted, total=expected.total, percent=expected.percent
        )

        def save(data: dict[str, Any]) -> str:
            run = retention.start(policy=policy, dry_run=False, ignore_limit=bool(data.get("ignore_limit")), actor=user)
            return self._url(request, "retention_run", str(run.pk))

        return form_page(
            self.admin_site,
            request,
            RunForm(scope.posted(request), expected=expected),
            save,
            title=_("Run tag retention now?"),
            intro=intro,
            success=_("{count} started.").format(count=1),
            next_url=self._url(request),
            submit_label=_("Run now"),
            guarded=False,
        )

    def dry_run(self, request: HttpRequest) -> HttpResponse:
        """Ask, for a GET begins nothing; then begin."""
        policy, user = self._existing(request), scope.signed_in(request)

        def save(data: dict[str, Any]) -> str:
            run = retention.start(policy=policy, dry_run=True, actor=user)
            return self._url(request, "retention_run", str(run.pk))

        return form_page(
            self.admin_site,
            request,
            forms.Form(scope.posted(request)),
            save,
            title=_("Dry run"),
            intro=_("Nothing is removed: the log tells what would be."),
            success=_("{count} started.").format(count=1),
            next_url=self._url(request),
            submit_label=_("Dry run"),
            guarded=False,
        )

    def _existing(self, request: HttpRequest) -> RetentionPolicy:
        policy = self._policy(request)
        if policy is None:
            raise Http404
        return policy

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What a run would do now: counts of every repository, and the artifacts of one with the reasons."""
        policy, now = self._existing(request), timezone.now()
        repositories = judgement.repositories(policy)
        asked = request.GET.get("repository", "")
        counts, chosen = [], None
        for repository in repositories:
            judged = judgement.judge(policy, repository, now)
            going = sum(each.verdict == Verdict.DELETE for each in judged)
            counts.append((repository, len(judged), going))
            if repository.name == asked or (chosen is None and not asked and going):
                chosen = (repository, judged)
        total, going = sum(row[1] for row in counts), sum(row[2] for row in counts)
        expected = sweeping.Forecast.of(total, going)
        rows = [_shown(each) for each in (chosen[1] if chosen else [])[:_MOST_ARTIFACTS]]
        return self.page(
            request,
            "registry/retention_preview.html",
            title=_("What a run would delete now, and why"),
            crumbs=[(_("Policy"), self._url(request)), (_("Preview"), "")],
            counts=counts,
            expected=expected,
            chosen=chosen[0] if chosen else None,
            rows=rows,
            most=_MOST_ARTIFACTS,
            rules=rules.rule_rows(policy.rules),
        )


def _shown(judged: Judgement) -> dict[str, Any]:
    if judged.rules:
        reason = _("kept by rule {numbers}").format(numbers=", ".join(map(str, judged.rules)))
    elif judged.listed:
        reason = _("listed by an index that stays")
    elif judged.immutable:
        reason = _("immutable: {tags}").format(tags=", ".join(judged.immutable))
    else:
        reason = _("no rule keeps it")
    labels = {Verdict.RETAIN: _("stays"), Verdict.IMMUTABLE: _("stays"), Verdict.DELETE: _("goes")}
    verdict = judged.verdict
    return {
        "candidate": judged.candidate,
        "verdict": format_html('<span class="badge {}">{}</span>', _LOOKS[verdict], labels[verdict]),
        "reason": reason,
        "pulled": judged.candidate.pulled if judged.candidate.pulled.year > 1 else None,
    }


@admin.register(ImmutableRule)
class ImmutableRuleAdmin(SwitchedAdmin[ImmutableRule], ProjectPartAdmin[ImmutableRule]):
    """The list of rules and the form of one."""

    view_action = "immutable-tag:list"
    list_display = ("sentence", "state", "created")
    list_display_links = None
    ordering = ("pk",)
    actions = ("enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No rule yet: every tag may be moved and deleted.")
    change_list_template = "registry/immutable_rules.html"

    def get_urls(self) -> list[URLPattern]:
        at = "projects/<str:project>/policy/immutable/"
        return [
            path(at, self.in_project(self.list), name="immutable_rules"),
            path(f"{at}new/", self.in_project(self.rule_form, "immutable-tag:create"), name="new_immutable_rule"),
            path(f"{at}<int:rule_id>/", self.in_project(self.rule_form, "immutable-tag:update"), name="immutable_rule"),
        ]

    def has_change_permission(self, request: HttpRequest, obj: ImmutableRule | None = None) -> bool:
        return scope.current(request).allows("immutable-tag:update")

    def has_delete_permission(self, request: HttpRequest, obj: ImmutableRule | None = None) -> bool:
        return scope.current(request).allows("immutable-tag:delete")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImmutableRule]:
        return super().get_queryset(request).select_related("project")

    def complete(self, request: HttpRequest, rows: Sequence[ImmutableRule]) -> None:
        may_change = self.has_change_permission(request)
        for row in rows:
            row.__dict__["url"] = self.url_of(row) if may_change else ""

    def url_of(self, row: ImmutableRule) -> str:
        return reverse("admin:immutable_rule", args=[row.project.name, row.pk])

    @admin.display(description=gettext_lazy("Rule"))
    def sentence(self, row: ImmutableRule) -> str:
        text = rules.immutable_sentence(row.tag_selectors, row.scope_selectors)
        url = row.__dict__.get("url")
        return format_html('{} <a href="{}">{}</a>', text, url, _("Edit")) if url else text

    @admin.display(description=gettext_lazy("State"), ordering="disabled")
    def state(self, row: ImmutableRule) -> str:
        return state_badge(not row.disabled)

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: ImmutableRule) -> str:
        return moment(row.creation_time)

    def list(self, request: HttpRequest) -> HttpResponse:
        here = scope.current(request)
        buttons = []
        if self.has_change_permission(request):
            buttons = [("enable", _("Enable")), ("disable", _("Disable")), ("delete_chosen", _("Delete"))]
        return self.list_page(
            request,
            _("Immutable tags"),
            page_tabs=_tabs(request, here.project),
            tabs_label=_("Policy"),
            most_rules=immutability.MAX_RULES,
            add_url=reverse("admin:new_immutable_rule", args=[here.project.name])
            if here.allows("immutable-tag:create")
            else None,
            add_label=_("New rule"),
            action_buttons=buttons,
        )

    def rule_form(self, request: HttpRequest, rule_id: int | None = None) -> HttpResponse:
        """Make a rule, or change the one of this id."""
        project, user = scope.current(request).project, scope.signed_in(request)
        rule = get_object_or_404(self.get_queryset(request), pk=rule_id) if rule_id else None
        initial = rules.selector_initial(rule.tag_selectors, rule.scope_selectors) if rule else None
        form = rules.SelectorForm(scope.posted(request), initial=initial)

        def save(data: dict[str, Any]) -> None:
            tags, repositories = form.selectors()
            if rule:
                immutability.update_rule(
                    rule=rule, disabled=rule.disabled, tag_selectors=tags, scope_selectors=repositories, actor=user
                )
            else:
                immutability.create_rule(project=project, tag_selectors=tags, scope_selectors=repositories, actor=user)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Edit immutability rule") if rule else _("New immutability rule"),
            intro=_("Tags that match can be neither moved nor deleted, by nobody, until the rule is off."),
            ready=rule is None,
            success=_("The rule has been saved."),
            next_url=reverse("admin:immutable_rules", args=[project.name]),
        )

    def switch(self, row: ImmutableRule, *, on: bool, actor: User) -> None:
        immutability.set_disabled(rule=row, disabled=not on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[ImmutableRule]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda rule: immutability.delete_rule(rule=rule, actor=user),
            _("{count} deleted."),
            title=_("Delete immutability rules?"),
            warning=_("Tags that no other rule covers can then be moved and deleted."),
            submit_label=_("Delete"),
        )
