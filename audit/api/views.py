"""The audit log, of the system and of projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from audit.describe import description
from audit.events import EVENT_TYPES
from audit.models import AuditLog
from harborsite.api.answers import Answer, Paged, Time
from harborsite.api.listing import Listing, listed
from harborsite.api.paging import paged_list
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


def _render(rows: Sequence[AuditLog]) -> list[ShownRow]:
    return [render(row) for row in rows]


def _all() -> QuerySet[AuditLog]:
    return AuditLog.objects.all()


def _of_project(project: int) -> QuerySet[AuditLog]:
    return AuditLog.objects.filter(project_id=project)


_NEWEST_FIRST = ("-op_time", "-pk")
_LOG = Listing(_all, COLUMNS, _NEWEST_FIRST)
_PROJECT_LOG = Listing(_of_project, COLUMNS, _NEWEST_FIRST)


class AuditLogsView(ApiView):
    """Rows of the projects whose log the caller may read; all of them for who may read the system's."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[ShownRow]:
        if can_system(self.who, "audit-log:list"):
            return listed(request, _LOG, _render)
        readable = readable_projects(self.who)
        return listed(request, _LOG, _render, narrow=lambda rows: rows.filter(project_id__in=readable))


class ProjectLogsView(ProjectView):
    actions = {"GET": "log:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownRow]:
        return listed(request, _PROJECT_LOG, _render, self.project.pk)


class OldLogsView(ApiView):
    """The log of before Harbor 2.13, in which nothing is written any more: everything is in the new kind."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[OldRow]:
        return _nothing(request)


def _nothing(request: Request) -> Paged[OldRow]:
    listed(request, _LOG, _render, narrow=QuerySet.none)  # what is asked for is looked at all the same
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
