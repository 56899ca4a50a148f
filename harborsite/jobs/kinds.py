"""Every kind of job there is, as data; Harbor's vendor types are the names.

The functions are named by dotted path, because they live in rooms that this one may not import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from harborsite.jobs.models import Execution
    from harborsite.jobs.runner import Job

SCHEDULER = "SCHEDULER"
EXECUTION_SWEEP = "EXECUTION_SWEEP"
SYSTEM_ARTIFACT_CLEANUP = "SYSTEM_ARTIFACT_CLEANUP"
REPLICATION = "REPLICATION"
RETENTION = "RETENTION"
GARBAGE_COLLECTION = "GARBAGE_COLLECTION"
CHECK_STORAGE = "CHECK_STORAGE"
PURGE_AUDIT_LOG = "PURGE_AUDIT_LOG"
WEBHOOK = "WEBHOOK"
SLACK = "SLACK"
WEBHOOK_EVENTS = "WEBHOOK_EVENTS"


@dataclass(frozen=True, slots=True)
class Kind:
    """How jobs of one kind are run.

    `run(job)` does one task. `launch(execution)` finds out which tasks there are, as a list of their parameters;
    without it an execution has one task with the execution's own parameters.
    """

    run: str
    launch: str = ""
    max_attempts: int = 1
    concurrency: int = 0  # how many at once; 0 leaves it to the number of workers
    keep: int = 50  # how many finished executions of one vendor id are kept

    def run_function(self) -> Callable[[Job], None]:
        function: Callable[[Job], None] = import_string(self.run)
        return function

    def launch_function(self) -> Callable[[Execution], list[dict[str, object]]]:
        function: Callable[[Execution], list[dict[str, object]]] = import_string(self.launch)
        return function


KINDS: Mapping[str, Kind] = {
    REPLICATION: Kind("replication.jobs.run", launch="replication.jobs.launch", max_attempts=3),
    WEBHOOK: Kind("projects.jobs.deliver", max_attempts=3),
    SLACK: Kind("projects.jobs.deliver", max_attempts=3, concurrency=1),
    WEBHOOK_EVENTS: Kind("projects.jobs.make_deliveries", max_attempts=10, concurrency=1, keep=10),
    GARBAGE_COLLECTION: Kind("registry.jobs.collect", concurrency=1),
    CHECK_STORAGE: Kind("registry.jobs.check_storage", concurrency=1, keep=10),
    PURGE_AUDIT_LOG: Kind("audit.jobs.remove_old", concurrency=1, keep=10),
    RETENTION: Kind("registry.jobs.retain", launch="registry.jobs.repositories_to_judge", max_attempts=3),
    SYSTEM_ARTIFACT_CLEANUP: Kind("registry.jobs.clean_up", concurrency=1),
    EXECUTION_SWEEP: Kind("harborsite.jobs.sweep.trim", concurrency=1, keep=10),
}

# What runs by itself on every installation; the rows are written after each migration and may be paused, not lost.
SYSTEM_SCHEDULES: Mapping[str, str] = {
    SYSTEM_ARTIFACT_CLEANUP: "0 0 * * * *",
    EXECUTION_SWEEP: "0 0 0 * * *",
}
