"""Forms of robot accounts: what every one has, and its rights, table by table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import BadRequest
from projects import params
from projects.admin import rights
from projects.models import Robot
from projects.models.robot import NEVER
from projects.services import robots
from projects.services.robots import Grant

_FIRST_RIGHTS = ("repository:pull", "repository:push")  # what most accounts of a project are made for


class Section(NamedTuple):
    """Fields one below the other, and the table of rights that follows them, if any."""

    fields: list[forms.BoundField]
    table: tuple[str, str, Any, Any] | None = None  # label, name, rows and errors


class RobotForm(forms.Form):
    """What every robot account has; rights follow in the subclasses."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    days = forms.IntegerField(
        label=gettext_lazy("Days until it expires"),
        min_value=1,
        max_value=robots.MAX_DURATION,
        required=False,
        help_text=gettext_lazy("Empty means never."),
    )

    def __init__(self, *args: Any, robot: Robot | None = None, project: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._count_from(robot.creation_time if robot else timezone.now())
        if robot:
            del self.fields["name"]
            return
        prefix = params.get(params.ROBOT_NAME_PREFIX) + (f"{project}+" if project else "")
        self.fields["name"].help_text = _(
            "Lower-case letters, digits and single . _ - between them. It signs in as {prefix} with this name."
        ).format(prefix=prefix)

    def _count_from(self, begin: datetime) -> None:
        """Let the page say on which day it ends (forms.js)."""
        self.fields["days"].widget.attrs |= {
            "data-since": begin.isoformat(timespec="seconds"),
            "data-says": _("It expires on {date}."),
        }

    def grants(self, project: str) -> list[Grant]:
        """The chosen rights as they are kept."""
        raise NotImplementedError

    def sections(self) -> list[Section]:
        plain = [self[name] for name in ("name", "description", "days") if name in self.fields]
        return [Section(plain), *self.rights_sections()]

    def rights_sections(self) -> list[Section]:
        raise NotImplementedError

    def _table(self, name: str) -> tuple[str, str, Any, Any]:
        field, bound = self.fields[name], self[name]
        rows = field.rows(bound.value() or ()) if isinstance(field, rights.RightsField) else []
        return str(field.label), name, rows, bound.errors


class ProjectRobotForm(RobotForm):
    """An account of one project."""

    project_rights = rights.project_field(gettext_lazy("Rights in this project"))

    def grants(self, project: str) -> list[Grant]:
        access = rights.as_access(self.cleaned_data["project_rights"])
        return [{"kind": "project", "namespace": project, "access": access}]

    def rights_sections(self) -> list[Section]:
        return [Section([], self._table("project_rights"))]


class SystemRobotForm(RobotForm):
    """An account with rights on the system, and in projects: for each group of projects the same ones."""

    system_rights = rights.system_field(gettext_lazy("Rights on the system"))

    def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pairs = [_pair(number) for number in range(1, groups + 1)]
        for names, inside in self._pairs:
            self.fields[names] = forms.CharField(
                label=_("Projects"),
                required=False,
                widget=forms.TextInput(attrs={"spellcheck": "false"}),
                help_text=_("Names with spaces between them, or * for all projects, also those yet to come."),
            )
            self.fields[inside] = rights.project_field(_("Rights in each of these projects"))

    def grants(self, project: str) -> list[Grant]:
        found: dict[str, Grant] = {}
        for names, inside in self._pairs:
            chosen = sorted(set(self.cleaned_data[names].replace(",", " ").split()))
            access = rights.as_access(self.cleaned_data[inside])
            if bool(chosen) != bool(access):
                raise BadRequest(_("Choose both projects and rights in them, or neither."))
            if twice := found.keys() & set(chosen):
                raise BadRequest(_("{name} is named twice.").format(name=min(twice)))
            found |= {name: {"kind": "project", "namespace": name, "access": access} for name in chosen}
        overall = rights.as_access(self.cleaned_data["system_rights"])
        inside_projects = list(found.values())
        return (
            [{"kind": "system", "namespace": "/", "access": overall}, *inside_projects] if overall else inside_projects
        )

    def rights_sections(self) -> list[Section]:
        projects = [Section([self[names]], self._table(inside)) for names, inside in self._pairs]
        return [*projects, Section([], self._table("system_rights"))]


def _pair(number: int) -> tuple[str, str]:
    """The names of the two fields of a group of projects."""
    suffix = "" if number == 1 else f"_{number}"
    return f"projects{suffix}", f"project_rights{suffix}"


class SecretForm(forms.Form):
    """A secret of one's own, or none for one that is made up."""

    secret = forms.CharField(
        label=gettext_lazy("Secret of your own"),
        required=False,
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "Empty: one is made up. 8 to 128 characters with an upper-case letter, a lower-case letter and a digit."
        ),
    )
    again = forms.CharField(
        label=gettext_lazy("The same again"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("secret", "") != data.get("again", ""):
            self.add_error("again", _("The two secrets differ."))
        return data


def form_for(project: str, robot: Robot | None, posted: QueryDict | None) -> RobotForm:
    """Of an account of `project`, or of the system for none; with `more` in it there is a further group of projects."""
    initial: dict[str, Any] = _kept(robot) if robot else {"days": params.get(params.ROBOT_TOKEN_DURATION)}
    if project:
        chosen = rights.chosen_in(robot.permissions, "project") if robot else list(_FIRST_RIGHTS)
        return ProjectRobotForm(posted, initial={**initial, "project_rights": chosen}, robot=robot, project=project)
    if posted is None:
        groups = _groups(robot.permissions) if robot else []
        for number, (names, access) in enumerate(groups, 1):
            initial |= dict(zip(_pair(number), (" ".join(names), access), strict=True))
        if robot:
            initial["system_rights"] = rights.chosen_in(robot.permissions, "system")
        return SystemRobotForm(initial=initial, robot=robot, groups=max(1, len(groups)))
    count = 1
    while _pair(count + 1)[0] in posted:
        count += 1
    if "more" in posted:
        entered = {name: posted.getlist(name) if "rights" in name else posted[name] for name in posted}
        return SystemRobotForm(initial=entered, robot=robot, groups=count + 1)
    return SystemRobotForm(posted, robot=robot, groups=count)


def _kept(robot: Robot) -> dict[str, Any]:
    return {"description": robot.description, "days": None if robot.duration == NEVER else robot.duration}


def _groups(permissions: Sequence[Grant]) -> list[tuple[list[str], list[str]]]:
    """Projects in which the rights are the same, and those."""
    found: dict[frozenset[str], list[str]] = {}
    for grant in permissions:
        if grant["kind"] == "project":
            found.setdefault(frozenset(rights.chosen_in([grant], "project")), []).append(grant["namespace"])
    return [(sorted(names), sorted(held)) for held, names in found.items()]
