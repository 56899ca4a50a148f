"""Robot accounts of a project, and of the whole system."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from functools import partial

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.errors import AppError
from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing, judgement
from harborsite.portal.pages import SwitchedAdmin, administrators_only, in_project
from harborsite.portal.templatetags.portal import moment
from projects.admin import robotforms
from projects.models import Robot, User
from projects.models.robot import NEVER
from projects.services import robots
from projects.services.robots import Grant

_PLACES_SHOWN = 3
_SOON = 7 * 24 * 3600  # seconds before its end at which an account is marked


@admin.register(Robot)
class RobotAdmin(SwitchedAdmin[Robot]):
    """The Robot Accounts tab, and Administration › Robot Accounts."""

    list_display = ("full_name", "state", "rights_count", "expires", "created", "description")
    search_fields = ("name", "description")
    ordering = ("name",)
    actions = ("enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No robot account yet.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        inside = "projects/<str:project>/robots/"
        return [
            path("robots/", administrators_only(site, self.robots), name="robots"),
            path("robots/new/", administrators_only(site, self.new_robot), name="new_robot"),
            path("robots/<int:robot_id>/", administrators_only(site, self.robot), name="robot"),
            path("robots/<int:robot_id>/secret/", administrators_only(site, self.new_secret), name="robot_secret"),
            path(inside, in_project(site, self.robots, "robot:list"), name="project_robots"),
            path(f"{inside}new/", in_project(site, self.new_robot, "robot:create"), name="new_project_robot"),
            path(f"{inside}<int:robot_id>/", in_project(site, self.robot, "robot:read"), name="project_robot"),
            path(
                f"{inside}<int:robot_id>/secret/",
                in_project(site, self.new_secret, "robot:update"),
                name="project_robot_secret",
            ),
        ]

    def _may(self, request: HttpRequest, verb: str) -> bool:
        here = scope.find(request)
        return here.allows(f"robot:{verb}") if here else scope.visitor(request).is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Robot | None = None) -> bool:
        return self._may(request, "list")

    def has_change_permission(self, request: HttpRequest, obj: Robot | None = None) -> bool:
        return self._may(request, "update")

    def has_delete_permission(self, request: HttpRequest, obj: Robot | None = None) -> bool:
        return self._may(request, "delete")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Robot]:
        here = scope.find(request)
        rows = Robot.objects.filter(visible=True).select_related("project")
        return rows.filter(project=here.project) if here else rows.filter(level=Robot.Level.SYSTEM)

    def _url(self, view: str, request: HttpRequest, *ids: int) -> str:
        """`view` in the project of this request, or on the system."""
        here = scope.find(request)
        if here is None:
            return reverse(f"admin:{view}", args=ids)
        name = {"robots": "project_robots", "new_robot": "new_project_robot"}.get(view, f"project_{view}")
        return reverse(f"admin:{name}", args=[here.project.name, *ids])

    def url_of(self, row: Robot) -> str:
        if row.project:
            return reverse("admin:project_robot", args=[row.project.name, row.pk])
        return reverse("admin:robot", args=[row.pk])

    @admin.display(description=gettext_lazy("Name"), ordering="name")
    def full_name(self, row: Robot) -> str:
        return row.username

    @admin.display(description=gettext_lazy("State"), ordering="disable")
    def state(self, row: Robot) -> str:
        if row.is_active:
            return _("Active")
        return format_html('<span class="badge off">{}</span>', _("Disabled") if row.disable else _("Expired"))

    @admin.display(description=gettext_lazy("Rights"))
    def rights_count(self, row: Robot) -> str:
        """How many; for accounts of the system also where."""
        counts = [(_place(grant), len(grant["access"])) for grant in row.permissions]
        texts = [(place, ngettext("{count} right", "{count} rights", n).format(count=n)) for place, n in counts]
        if row.project:
            return texts[0][1] if texts else ""
        lines = format_html_join("", "<br>{}: {}", texts[1:_PLACES_SHOWN])
        more = len(texts) - _PLACES_SHOWN
        rest = format_html('<br><span class="more">+{}</span>', more) if more > 0 else ""
        return format_html("{}: {}{}{}", *texts[0], lines, rest) if texts else ""

    @admin.display(description=gettext_lazy("Expires"), ordering="expires_at")
    def expires(self, row: Robot) -> str:
        if row.expires_at == NEVER:
            return _("does not expire")
        end = datetime.fromtimestamp(row.expires_at, UTC)
        soon = row.expires_at - datetime.now(UTC).timestamp() < _SOON
        return format_html('<span class="badge warn">{}</span>', moment(end)) if soon else moment(end)

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: Robot) -> str:
        return moment(row.creation_time)

    def robots(self, request: HttpRequest) -> HttpResponse:
        buttons = []
        if self.has_change_permission(request):
            buttons += [("enable", _("Enable")), ("disable", _("Disable"))]
        if self.has_delete_permission(request):
            buttons.append(("delete_chosen", _("Delete")))
        return self.list_page(
            request,
            _("Robot accounts"),
            add_url=self._url("new_robot", request) if self._may(request, "create") else None,
            add_label=_("New robot account"),
            action_buttons=buttons,
        )

    def _form(self, request: HttpRequest, robot: Robot | None = None) -> robotforms.RobotForm:
        here = scope.find(request)
        return robotforms.form_for(here.project.name if here else "", robot, scope.posted(request))

    def new_robot(self, request: HttpRequest) -> HttpResponse:
        here, user, form = scope.find(request), scope.signed_in(request), self._form(request)
        check_while_typing(form, name=partial(robots.check_new_name, project=here.project if here else None))
        if answer := judgement(request, form):
            return answer
        if request.method == "POST" and form.is_valid():
            try:
                made, secret = robots.create_robot(
                    name=form.cleaned_data["name"],
                    level=Robot.Level.PROJECT if here else Robot.Level.SYSTEM,
                    permissions=form.grants(here.project.name if here else ""),
                    duration=form.cleaned_data["days"] or NEVER,
                    description=form.cleaned_data["description"],
                    actor=user,
                )
            except AppError as error:
                form.add_error(None, error.message)
            else:
                return self._show_secret(request, made, secret)
        return self.page(
            request,
            "projects/robot_form.html",
            title=_("New robot account"),
            form=form,
            may_add_projects=here is None,
            submit_label=_("Create robot account"),
            guarded=True,
            cancel_url=self._url("robots", request),
        )

    def robot(self, request: HttpRequest, robot_id: int) -> HttpResponse:
        """Look at one, and change it where the role allows that."""
        robot = get_object_or_404(self.get_queryset(request), pk=robot_id)
        form, may_change = self._form(request, robot), self.has_change_permission(request)
        for field in form.fields.values():
            field.disabled = not may_change
        if request.method == "POST" and may_change and form.is_valid():
            try:
                robots.update_robot(
                    robot=robot,
                    actor=scope.signed_in(request),
                    description=form.cleaned_data["description"],
                    permissions=form.grants(robot.project.name if robot.project else ""),
                    disable=robot.disable,
                    duration=form.cleaned_data["days"] or NEVER,
                )
            except AppError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, _("The robot account has been saved."))
                return HttpResponseRedirect(self._url("robots", request))
        return self.page(
            request,
            "projects/robot_form.html",
            title=robot.username,
            form=form,
            may_add_projects=may_change and robot.project is None,
            read_only=not may_change,
            guarded=may_change,
            secret_url=self._url("robot_secret", request, robot.pk) if may_change else None,
            submit_label=_("Save") if may_change else "",
            cancel_url=self._url("robots", request),
        )

    def new_secret(self, request: HttpRequest, robot_id: int) -> HttpResponse:
        """A new secret, made up or one's own; the old one works no more."""
        robot = get_object_or_404(self.get_queryset(request), pk=robot_id)
        form, back = robotforms.SecretForm(scope.posted(request)), self._url("robot", request, robot_id)
        if request.method == "POST" and form.is_valid():
            try:
                secret = robots.refresh_secret(
                    robot=robot, actor=scope.signed_in(request), secret=form.cleaned_data["secret"]
                )
            except AppError as error:
                form.add_error("secret", error.message)
            else:
                return self._show_secret(request, robot, secret)
        return self.page(
            request,
            "portal/form.html",
            title=_("New secret of {name}").format(name=robot.username),
            intro=_("A new secret takes effect at once; the old one works no more."),
            form=form,
            submit_label=_("Make a new secret"),
            cancel_url=back,
        )

    def _show_secret(self, request: HttpRequest, robot: Robot, secret: str) -> HttpResponse:
        return self.page(
            request,
            "projects/robot_secret.html",
            title=_("The secret of {name}").format(name=robot.username),
            robot=robot,
            secret=secret,
            file_url=_file(robot, secret),
            next_url=self._url("robots", request),
        )

    def switch(self, row: Robot, *, on: bool, actor: User) -> object:
        return robots.set_disabled(robot=row, disable=not on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Robot]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda robot: robots.delete_robot(robot=robot, actor=user),
            _("{count} deleted."),
            title=_("Delete robot accounts?"),
            warning=_("Whatever signs in with them stops working at once."),
            submit_label=_("Delete"),
        )


def _place(grant: Grant) -> str:
    if grant["kind"] == "system":
        return _("System")
    return _("All projects") if grant["namespace"] == "*" else grant["namespace"]


def _file(robot: Robot, secret: str) -> str:
    """What the secret's page offers to keep, as an address that holds it: nothing is stored here."""
    told = {
        "id": robot.pk,
        "name": robot.username,
        "secret": secret,
        "creation_time": robot.creation_time.isoformat(timespec="seconds"),
        "expires_at": robot.expires_at,
    }
    return f"data:application/json;base64,{b64encode(json.dumps(told, indent=2).encode()).decode()}"
