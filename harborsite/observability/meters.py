"""What is counted while requests and jobs are served; every process counts into files that all can read.

A process that never called `share` counts in its own memory: tests, and other WSGI servers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram, multiprocess, values

OPERATION: Final = "harborsite.operation"  # where views put the name of what was asked for into the WSGI environment
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_KINDS: Final = (
    ("/manifests/", "v2_manifest"),
    ("/blobs/uploads", "v2_blob_upload"),
    ("/blobs/", "v2_blob"),
    ("/tags/list", "v2_tags"),
    ("/referrers/", "v2_referrers"),
)
_OF_PROJECTS: Final = frozenset(kind for _part, kind in _KINDS)


def share(directory: Path) -> None:
    """Begin anew with files in `directory`; before anything is counted, in the parent of those who count."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # this is how the library is told,
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # which has looked for it when it was imported


class Meters:
    """All that is counted, under Harbor's names where it has one."""

    def __init__(self) -> None:
        self.inflight: Gauge = Gauge(
            "harbor_core_http_inflight_requests", "The total number of requests", multiprocess_mode="livesum"
        )
        self.requests: Counter = Counter(
            "harbor_core_http_request", "The total number of requests", ["method", "code", "operation"]
        )
        self.seconds: Histogram = Histogram(
            "harborsite_http_request_duration_seconds",
            "The time until the last byte of the answer was taken",
            ["method", "operation"],
            buckets=_BUCKETS,
        )
        self.proxied: Counter = Counter(
            "harbor_core_http_registry_proxy_requests", "Registry requests that were served", ["project", "method"]
        )
        self.tasks: Counter = Counter("harbor_jobservice_task", "The number of processed tasks", ["type", "status"])
        self.task_seconds: Histogram = Histogram(
            "harborsite_task_duration_seconds",
            "The time from a task's start to its end",
            ["type", "status"],
            buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400),
        )
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}  # labels() would look them up for longer
        self._projects: dict[tuple[str, str], Any] = {}

    def began(self) -> None:
        """A request has arrived, and will be answered."""
        self.inflight.inc()

    def answered(self, environ: Mapping[str, Any], status: str, seconds: float) -> None:
        """One request was answered; `status` is the line's beginning. Costs microseconds."""
        self.inflight.dec()
        method, code = environ["REQUEST_METHOD"], status[:3] or "499"  # as nginx says of a client that left
        operation = environ.get(OPERATION) or of_path(environ["PATH_INFO"])
        if method not in _METHODS:
            method = "other"
        key = (method, code, operation)
        if (children := self._known.get(key)) is None:
            children = self.requests.labels(*key), self.seconds.labels(method, operation)
            self._known[key] = children
        children[0].inc()
        children[1].observe(seconds)
        if operation in _OF_PROJECTS and code < "400":  # others name projects that nobody has made
            place = (_project(environ["PATH_INFO"]), method)
            if (child := self._projects.get(place)) is None:
                child = self._projects[place] = self.proxied.labels(*place)
            child.inc()

    @staticmethod
    def process_died(pid: int) -> None:
        """What it had in hand is nobody's; what it had counted stays."""
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@cache
def meters() -> Meters:
    """Those of this process and all that it forks."""
    return Meters()


def of_path(path: str) -> str:
    """Harbor's names for requests of registry clients; what no view has named is unknown."""
    if not path.startswith("/v2/"):
        return "unknown"
    if path == "/v2/_catalog":
        return "v2_catalog"
    return next((kind for part, kind in _KINDS if part in path), "v2_others")


def _project(path: str) -> str:
    """The project of a repository that exists; a name of one part is in the default one."""
    from harborsite.config import current

    name = path.removeprefix("/v2/")
    for part, _kind in _KINDS:
        name = name.partition(part)[0]
    project, slash, _rest = name.partition("/")
    return project if slash else current().default_project
