"""`/metrics`: what has been counted, and what the database holds, under Harbor's names for Prometheus.

`?comp=core`, `jobservice` or `registry` asks for one of Harbor's components; anything else is its exporter.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock
from typing import Any, Final

from django.db.models import Count, Min, Q, Sum
from django.http import HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, values
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.views import APIView

from harborsite import __version__, config
from harborsite.jobs.models import Schedule, Status, Task, Worker
from harborsite.observability import meters
from projects import params
from projects.api.base import ApiView
from projects.api.system import HARBOR_VERSION, components
from projects.identity.origin import client_address
from projects.models import Project, Quota
from registry.models import Artifact, Blob, Repository

FRESH_SECONDS: Final = 23.0  # as long as Harbor's exporter keeps an answer
_QUANTILES: Final = (0.5, 0.9, 0.99)
_V2: Final = {
    "v2_manifest": "manifest",
    "v2_blob": "blob",
    "v2_blob_upload": "blob-upload",
    "v2_tags": "tags",
    "v2_catalog": "catalog",
    "v2_referrers": "referrers",
    "v2_others": "base",
}


class MetricsView(ApiView):
    """For who scrapes from `metric_networks`, and for administrators from anywhere."""

    actions = {"GET": "system-volumes:read"}

    def authorise(self, action: str) -> None:
        if not _comes_from(self.request.META):
            super().authorise(action)

    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_COMPONENTS.get(request.GET.get("comp", ""), _exporter))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        return APIView.finalize_response(self, request, response, *args, **kwargs)  # without tokens for browsers


def _comes_from(meta: Mapping[str, Any]) -> bool:
    try:
        address = ipaddress.ip_address(client_address(meta))
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in config.current().metric_networks)


# --- counted ----------------------------------------------------------------------------------------------


def _counted() -> dict[str, Metric]:
    """Everything that all processes have counted, by name."""
    meters.meters()
    if values.ValueClass.__name__ == "MmapedValue":
        collector: Collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
        return {family.name: family for family in collector.collect()}
    return {family.name: family for family in REGISTRY.collect()}


class _Core:
    def collect(self) -> Iterator[Metric]:
        counted = _counted()
        for name in ("inflight_requests", "request", "registry_proxy_requests"):
            yield from _found(counted, f"harbor_core_http_{name}")
        upstream = "harbor_core_http_registry_proxy_upstream_requests"  # there is no registry behind this one
        yield CounterMetricFamily(upstream, "The total number of requests to upstream", labels=["project", "method"])
        if seconds := counted.get("harborsite_http_request_duration_seconds"):
            yield _summary("harbor_core_http_request_duration_seconds", seconds)
            yield seconds


class _Jobs:
    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "harbor_jobservice_info", "The information of jobservice", labels=["node", "pool", "workers"]
        )
        for row in Worker.objects.values("host").annotate(workers=Count("pk")).order_by("host"):
            info.add_metric([row["host"], row["host"], str(row["workers"])], 1)
        yield info
        counted = _counted()
        yield from _found(counted, "harbor_jobservice_task")
        if seconds := counted.get("harborsite_task_duration_seconds"):
            yield _summary("harbor_jobservice_task_process_time_seconds", seconds)
            yield seconds


class _Registry:
    """What distribution would have counted of the same requests."""

    def collect(self) -> Iterator[Metric]:
        counted = _counted()
        requests = CounterMetricFamily(
            "registry_http_requests", "Requests by handler", labels=["handler", "method", "code"]
        )
        for sample in _samples(counted, "harbor_core_http_request", "harbor_core_http_request_total"):
            if handler := _V2.get(sample.labels["operation"]):
                requests.add_metric([handler, sample.labels["method"].lower(), sample.labels["code"]], sample.value)
        yield requests
        seconds = Metric("registry_http_request_duration_seconds", "The time that requests took", "histogram")
        name = "harborsite_http_request_duration_seconds"
        for sample in counted[name].samples if name in counted else ():
            if handler := _V2.get(sample.labels["operation"]):
                rest = {key: value for key, value in sample.labels.items() if key not in {"operation", "method"}}
                labels = {"handler": handler, "method": sample.labels["method"].lower(), **rest}
                seconds.add_sample(sample.name.replace(name, seconds.name), labels, sample.value)
        yield seconds


def _found(counted: Mapping[str, Metric], name: str) -> Iterator[Metric]:
    if name in counted:
        yield counted[name]


def _samples(counted: Mapping[str, Metric], family: str, name: str) -> Iterable[Any]:
    return [sample for sample in counted[family].samples if sample.name == name] if family in counted else []


def _summary(name: str, histogram: Metric) -> Metric:
    """Harbor's summary from a histogram, each quantile between the bounds of its bucket, since the start."""
    summary = Metric(name, histogram.documentation, "summary")
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for sample in histogram.samples:
        labels = {key: value for key, value in sample.labels.items() if key != "le"}
        if sample.name.endswith("_bucket"):
            buckets.setdefault(tuple(labels.items()), []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith(("_sum", "_count")):
            summary.add_sample(name + sample.name[sample.name.rindex("_") :], labels, sample.value)
    for key, counts in buckets.items():
        for quantile in _QUANTILES:
            summary.add_sample(name, {**dict(key), "quantile": str(quantile)}, _quantile(quantile, sorted(counts)))
    return summary


def _quantile(quantile: float, counts: list[tuple[float, float]]) -> float:
    """Linear between the bounds of the bucket that holds it, as Prometheus' own `histogram_quantile`."""
    total = counts[-1][1]
    if not total:
        return float("nan")
    below, start = 0.0, 0.0
    for bound, count in counts:
        if count >= quantile * total:
            if bound == float("inf"):
                return start
            return start + (bound - start) * (quantile * total - below) / (count - below)
        below, start = count, bound
    return start


# --- what the database holds ------------------------------------------------------------------------------


class _Exporter:
    """Asks the database, and keeps the answer for a while: how often it is scraped is not ours to say."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: list[Metric] = []
        self._until = 0.0

    def collect(self) -> list[Metric]:
        with self._lock:
            if time.monotonic() > self._until:
                self._kept = [*_health(), *_information(), *_projects(), *_statistics(), *_tasks()]
                self._until = time.monotonic() + FRESH_SECONDS
            return self._kept

    def forget(self) -> None:
        self._until = 0.0


def _health() -> Iterator[Metric]:
    found = components()
    healthy = all(component["status"] == "healthy" for component in found)
    yield GaugeMetricFamily("harbor_health", "Running status of Harbor", value=int(healthy))
    up = GaugeMetricFamily("harbor_up", "Running status of harbor component", labels=["component"])
    for component in found:
        up.add_metric([component["name"]], int(component["status"] == "healthy"))
    yield up


def _information() -> Iterator[Metric]:
    labels = {
        "auth_mode": str(params.get(params.AUTH_MODE)),
        "harbor_version": f"{HARBOR_VERSION}-harborsite.{__version__}",
        "self_registration": str(params.get(params.SELF_REGISTRATION)).lower(),
    }
    info = GaugeMetricFamily("harbor_system_info", "Information of Harbor system", labels=list(labels))
    info.add_metric(list(labels.values()), 1)
    yield info


def _by(name: str, text: str, labels: list[str], rows: Iterable[tuple[Any, ...]]) -> Metric:
    """A family of one sample a row, whose last column is the value."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for *given, value in rows:
        family.add_metric([str(each).lower() if isinstance(each, bool) else str(each) for each in given], value or 0)
    return family


def _projects() -> Iterator[Metric]:
    public = Project.objects.order_by("public").values_list("public").annotate(Count("pk"))
    yield _by("harbor_project_total", "Total projects number", ["public"], public)
    quotas = list(Quota.objects.values_list("project__name", "used", "hard"))
    of = ["project_name"]
    usage = ((name, used) for name, used, _hard in quotas)
    yield _by("harbor_project_quota_usage_byte", "The used resource of a project", of, usage)
    limits = ((name, hard) for name, _used, hard in quotas)
    yield _by("harbor_project_quota_byte", "The quota of a project", of, limits)
    members = Project.objects.values_list("name").annotate(
        people=Count("members", filter=Q(members__user__isnull=False))
    )
    yield _by("harbor_project_member_total", "Total members number of a project", of, members)
    repositories = Project.objects.values_list("name", "public").annotate(Count("repositories"))
    yield _by("harbor_project_repo_total", "Total project repos number", [*of, "public"], repositories)
    artifacts = (
        Artifact.objects.order_by()
        .values_list("repository__project__name", "repository__project__public", "type")
        .annotate(Count("pk"))
    )
    yield _by("harbor_project_artifact_total", "Total artifacts number", [*of, "public", "artifact_type"], artifacts)
    pulled = Repository.objects.order_by().values_list("project__name").annotate(Sum("pull_count"))
    yield _by("harbor_artifact_pulled", "The pull number of an artifact", of, pulled)


def _statistics() -> Iterator[Metric]:
    projects = dict(Project.objects.order_by().values_list("public").annotate(Count("pk")))
    repositories = dict(Repository.objects.order_by().values_list("project__public").annotate(Count("pk")))
    numbers = {"total_storage_consumption": Blob.objects.aggregate(total=Sum("size"))["total"] or 0}
    for name, counts in (("project", projects), ("repo", repositories)):
        numbers |= {
            f"total_{name}_amount": sum(counts.values()),
            f"public_{name}_amount": counts.get(True, 0),
            f"private_{name}_amount": counts.get(False, 0),
        }
    for name, value in numbers.items():
        yield GaugeMetricFamily(f"harbor_statistics_{name}", name.replace("_", " ").capitalize(), value=value)


def _tasks() -> Iterator[Metric]:
    now = timezone.now()
    waiting = Task.objects.filter(status=Status.PENDING).order_by("vendor_type").values("vendor_type")
    rows = list(waiting.annotate(size=Count("pk"), oldest=Min("creation_time")))
    sizes = ((row["vendor_type"], row["size"]) for row in rows)
    yield _by("harbor_task_queue_size", "Total number of tasks", ["type"], sizes)
    ages = ((row["vendor_type"], (now - row["oldest"]).total_seconds()) for row in rows)
    yield _by("harbor_task_queue_latency", "how long ago the next task was enqueued", ["type"], ages)
    running = Task.objects.filter(status=Status.RUNNING).order_by("vendor_type").values_list("vendor_type", "worker")
    busy: dict[tuple[str, str], int] = {}
    for kind, worker in running:
        place = (kind, worker.partition(":")[0])
        busy[place] = busy.get(place, 0) + 1
    concurrency = ((*place, count) for place, count in busy.items())
    yield _by("harbor_task_concurrency", "Total number of concurrency on a pool", ["type", "pool"], concurrency)
    scheduled = Schedule.objects.count()
    yield GaugeMetricFamily("harbor_task_scheduled_total", "total number of scheduled job", value=scheduled)


_exporter = _Exporter()
_COMPONENTS: Final[Mapping[str, Any]] = {"core": _Core(), "jobservice": _Jobs(), "registry": _Registry()}
