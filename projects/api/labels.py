"""Labels of the system and of projects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, parameters, query
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_number, to_time
from harborsite.api.wire import stamp, without_empty
from harborsite.errors import BadRequest, NotFound
from projects.api.base import ANYONE, ApiView, refuse
from projects.models import Label, Project
from projects.permissions import can
from projects.services import labels

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "description": Column("description"),
    "color": Column("color"),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class NewLabel:
    name: str = ""
    description: str = ""
    color: str = ""
    scope: str = ""
    project_id: int = 0


class ShownLabel(TypedDict):
    id: int
    name: str
    description: NotRequired[str]
    color: NotRequired[str]
    scope: str
    project_id: NotRequired[int]
    creation_time: Time
    update_time: Time


def render(label: Label) -> ShownLabel:
    shape: ShownLabel = {
        "id": label.pk,
        "name": label.name,
        "description": label.description,
        "color": label.color,
        "scope": label.scope,
        "project_id": label.project_id or 0,
        "creation_time": stamp(label.creation_time),
        "update_time": stamp(label.update_time),
    }
    return without_empty(shape, "description", "color", "project_id")


class LabelBase(ApiView):
    """Labels of the system are an administrator's, those of a project are by its roles."""

    def allow(self, verb: str, project: Project | None, given: int | str = "") -> None:
        if project is None and not given:
            self.authorise(f"label:{verb}")
        elif project is None or not can(self.who, f"label:{verb}", project):
            refuse(self.who, project, str(given))


class LabelsView(LabelBase):
    actions = {"GET": ANYONE, "POST": ANYONE}

    def get(self, request: Request) -> Paged[ShownLabel]:
        scope = request.GET.get("scope", "")
        if scope not in Label.Scope.values:
            raise BadRequest(f"invalid scope: {scope[:100]}")
        space = 0
        if scope == Label.Scope.PROJECT:
            space = parameters.number(request, "project_id", 0)
            if space <= 0:
                raise BadRequest("project_id should be greater than 0 for a project's labels")
            self.allow("list", Project.objects.filter(pk=space).first(), space)
        rows = Label.objects.filter(space=space)
        if name := request.GET.get("name"):
            rows = rows.filter(name__icontains=name)
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
        return paged(request, rows, lambda found: [render(label) for label in found])

    def post(self, request: Request) -> Created:
        new = body.read(request, NewLabel)
        if new.scope not in Label.Scope.values or (new.scope == Label.Scope.PROJECT and new.project_id <= 0):
            raise BadRequest("unsupported label scope")
        given = new.project_id if new.scope == Label.Scope.PROJECT else 0
        project = Project.objects.filter(pk=given).first() if given else None
        self.allow("create", project, given or "")
        label = labels.create_label(
            name=new.name, description=new.description, color=new.color, actor=self.who, project=project
        )
        return Created(f"/api/v2.0/labels/{label.pk}")


class LabelView(LabelBase):
    actions = {"GET": ANYONE, "PUT": ANYONE, "DELETE": ANYONE}

    def get(self, request: Request, label_id: int) -> Answer[ShownLabel]:
        label = self._find(label_id)
        if label.project:
            self.allow("read", label.project)
        return Answer(render(label))

    def put(self, request: Request, label_id: int) -> Done:
        label = self._find(label_id)
        self.allow("update", label.project)
        new = body.read(request, NewLabel)
        labels.update_label(label=label, name=new.name, description=new.description, color=new.color, actor=self.who)
        return Done()

    def delete(self, request: Request, label_id: int) -> Done:
        label = self._find(label_id)
        self.allow("delete", label.project)
        labels.delete_label(label=label, actor=self.who)
        return Done()

    def _find(self, label_id: int) -> Label:
        label = Label.objects.select_related("project").filter(pk=label_id).first()
        if label is None:
            raise NotFound(f"label {label_id} not found")
        return label
