"""The audit log, of the system and of projects."""

from __future__ import annotations

from typing import TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from audit.describe import description
from audit.events import EVENT_TYPES
from audit.models import AuditLog
from harborsite.api import query
from harborsite.api.answers import Answer, Paged, Time
from harborsite.api.paging import paged, paged_list
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import stamp
from harborsite.principal import Principal
from projects.api.base import SIGNED_IN, ApiView, ProjectView
from projects.models import Project, Robot, User
from projects.permissions import can, can_system

COLUMNS = {
    "id": Column("pk", to_number),
    "username": Column("username"),
    "operation": Column("operation"),
    "resource_type": Column("resource_type"),
    "resource": Column("resource"),
    "project_id": Column("project_id", to_number),
    "operation_result": Column("successful", to_flag),
    "op_time": Column("op_time", to_time),
}


class OldRow(TypedDict):
    id: int
    username: str
    resource: str
    resource_type: str
    operation: str
    op_time: Time


class ShownRow(OldRow):
    operation_description: str
    operation_result: bool


class EventType(TypedDict):
    event_type: str


def render(row: AuditLog) -> ShownRow:
    return {
        "id": row.pk,
        "username": row.username,
        "resource": row.resource,
        "resource_type": row.resource_type,
        "operation": row.operation,
        "operation_description": description(row),
        "operation_result": row.successful,
        "op_time": stamp(row.op_time),
    }


def _page(request: Request, rows: QuerySet[AuditLog]) -> Paged[ShownRow]:
    rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
    rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-op_time", "-pk"))
    return paged(request, rows, lambda found: [render(row) for row in found])


class AuditLogsView(ApiView):
    """Rows of the projects whose log the caller may read; all of them for who may read the system's."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[ShownRow]:
        rows = AuditLog.objects.all()
        if not can_system(self.who, "audit-log:list"):
            rows = rows.filter(project_id__in=readable_projects(self.who))
        return _page(request, rows)


class ProjectLogsView(ProjectView):
    actions = {"GET": "log:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownRow]:
        return _page(request, AuditLog.objects.filter(project_id=self.project.pk))


class OldLogsView(ApiView):
    """The log of before Harbor 2.13, in which nothing is written any more: everything is in the new kind."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[OldRow]:
        return _nothing(request)


def _nothing(request: Request) -> Paged[OldRow]:
    _page(request, AuditLog.objects.none())  # what is asked for is looked at all the same
    return paged_list(request, [], list)


class OldProjectLogsView(ProjectView):
    actions = {"GET": "log:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[OldRow]:
        return _nothing(request)


class EventTypesView(ApiView):
    actions = {"GET": "audit-log:list"}

    def get(self, request: Request) -> Answer[list[EventType]]:
        return Answer([{"event_type": event} for event in EVENT_TYPES])


def readable_projects(who: Principal) -> list[int]:
    """The projects whose log `who` may read: few, for a person administers few."""
    if isinstance(who, User):
        mine = Project.objects.filter(pk__in=who.memberships)
    elif isinstance(who, Robot):
        mine = Project.objects.filter(who.footing())
    else:
        return []
    return [project.pk for project in mine if can(who, "log:list", project)]
