"""Purging the audit log: its schedule, its runs and their logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.purging import MAX_HOURS
from harborsite.errors import BadRequest
from harborsite.jobs.kinds import PURGE_AUDIT_LOG
from projects.api import jobs


class Purge(jobs.JobBase):
    """What is the same for every route of purging."""

    vendor_type = PURGE_AUDIT_LOG
    place = "system/purgeaudit"

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not given:
            raise BadRequest("schedule parameter can not be empty")
        hours, events = given.get("audit_retention_hour"), given.get("include_event_types")
        if type(hours) is not int:
            raise BadRequest("audit_retention_hour should provide")
        if hours > MAX_HOURS:
            raise BadRequest(f"audit_retention_hour should be less than {MAX_HOURS}")
        if not isinstance(events, str) or len(events) > 4096:
            raise BadRequest("include_event_types should provide")
        return {
            "audit_retention_hour": hours,
            "include_event_types": events,
            "dry_run": given.get("dry_run") is True,
        }


class PurgeScheduleView(Purge, jobs.JobScheduleView):
    actions = {"GET": "purge-audit:read", "POST": "purge-audit:create", "PUT": "purge-audit:update"}


class PurgeRunsView(Purge, jobs.JobRunsView):
    actions = {"GET": "purge-audit:list"}


class PurgeRunView(Purge, jobs.JobRunView):
    actions = {"GET": "purge-audit:read", "PUT": "purge-audit:stop"}


class PurgeLogView(Purge, jobs.JobLogView):
    actions = {"GET": "purge-audit:read"}
