"""Garbage collection: its schedule, its runs and their logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harborsite.errors import BadRequest
from harborsite.jobs.kinds import GARBAGE_COLLECTION
from projects.api import jobs


class Garbage(jobs.JobBase):
    """What is the same for every route of garbage collection."""

    vendor_type = GARBAGE_COLLECTION
    place = "system/gc"

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Flags that are not given are off; the number of workers is accepted and means nothing here."""
        workers = given.get("workers", 1)
        if type(workers) is not int or not 1 <= workers <= 10:
            raise BadRequest(
                f"Error: Invalid number of workers:{str(workers)[:20]}. Workers must be greater than 0 and less than "
                "or equal to 10."
            )
        flags = {name: given.get(name) is True for name in ("delete_untagged", "delete_tag", "dry_run")}
        return {**flags, "workers": workers}


class GarbageScheduleView(Garbage, jobs.JobScheduleView):
    actions = {
        "GET": "garbage-collection:read",
        "POST": "garbage-collection:create",
        "PUT": "garbage-collection:update",
    }


class GarbageRunsView(Garbage, jobs.JobRunsView):
    actions = {"GET": "garbage-collection:list"}


class GarbageRunView(Garbage, jobs.JobRunView):
    actions = {"GET": "garbage-collection:read", "PUT": "garbage-collection:stop"}


class GarbageLogView(Garbage, jobs.JobLogView):
    actions = {"GET": "garbage-collection:read"}
