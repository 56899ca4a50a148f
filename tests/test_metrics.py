"""Metrics under Harbor's names: who may read them, and that they say what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from harborsite import config as boot
from harborsite.jobs.models import Execution, Status, Task, Trigger, Worker
from harborsite.observability import meters, metrics, tasks
from harborsite.observability.meters import of_path
from projects.models import Project, User
from registry.models import Artifact, Repository
from tests.factories import ClientFor

AFAR = "203.0.113.9"
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    metrics._exporter.forget()
    yield
    metrics._exporter.forget()


def scrape(client: Client, component: str = "") -> Numbers:
    answer = client.get("/metrics", {"comp": component} if component else {})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(found: Numbers, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


# --- who may read them ------------------------------------------------------------------------------------


def test_this_machine_may_read_without_signing_in(client: Client) -> None:
    assert client.get("/metrics").status_code == 200
    assert not client.get("/metrics").cookies


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "127.0.0.1"}])
def test_strangers_may_not(client: Client, headers: dict[str, str]) -> None:
    for address in (AFAR, ""):
        assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == 401


def test_a_proxy_of_this_machine_does_not_make_its_clients_local(client: Client) -> None:
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR=AFAR).status_code == 401


def test_elsewhere_it_takes_an_administrator(client_for: ClientFor, admin: User, carol: User) -> None:
    assert client_for(admin).get("/metrics", REMOTE_ADDR=AFAR).status_code == 200
    assert client_for(carol).get("/metrics", REMOTE_ADDR=AFAR).status_code == 403


@pytest.mark.parametrize("path", ["metrics", "/v2/x", "/api/x", "/a b", "/x/../y"])
def test_a_path_that_cannot_be_served_is_refused_by_key(path: str) -> None:
    with pytest.raises(boot.ConfigError, match="HARBOR_METRIC_PATH: metric_path"):
        boot.load(boot.TEMPLATE, {"HARBOR_METRIC_PATH": path})


# --- what the database holds ------------------------------------------------------------------------------


def test_the_exporter_counts_what_there_is(
    client: Client, library: Project, commons: Project, bob: User, alice: User
) -> None:
    library.quota.used = 77
    library.quota.save()
    repository = Repository.objects.create(project=library, name="library/app", pull_count=5)
    for number in range(2):
        Artifact.objects.create(
            repository=repository,
            digest=f"sha256:{number:064}",
            type="IMAGE",
            manifest=b"{}",
            manifest_media_type="x",
            push_time=timezone.now(),
        )
    found = scrape(client)
    assert value(found, "harbor_health") == value(found, "harbor_up", component="database") == 1
    assert value(found, "harbor_project_total", public="true") == 1
    assert value(found, "harbor_project_quota_usage_byte", project_name="library") == 77
    assert value(found, "harbor_project_quota_byte", project_name="library") == -1
    assert value(found, "harbor_project_member_total", project_name="library") == library.members.count()
    assert value(found, "harbor_project_repo_total", project_name="library", public="false") == 1
    assert value(found, "harbor_project_repo_total", project_name="commons", public="true") == 0
    labels = {"project_name": "library", "public": "false", "artifact_type": "IMAGE"}
    assert value(found, "harbor_project_artifact_total", **labels) == 2
    assert value(found, "harbor_artifact_pulled", project_name="library") == 5
    assert value(found, "harbor_statistics_total_project_amount") == 2
    assert value(found, "harbor_statistics_private_repo_amount") == 1
    assert any(name == "harbor_system_info" and ("auth_mode", "db_auth") in labels for name, labels in found)


def test_the_exporter_counts_what_waits_and_runs(client: Client) -> None:
    now = timezone.now()
    execution = Execution.objects.create(vendor_type="REPLICATION", trigger=Trigger.MANUAL, start_time=now)
    waiting = Task.objects.create(execution=execution, vendor_type="REPLICATION", status=Status.PENDING)
    Task.objects.filter(pk=waiting.pk).update(creation_time=now - timedelta(seconds=90))
    Task.objects.create(execution=execution, vendor_type="REPLICATION", status=Status.RUNNING, worker="a:1")
    found = scrape(client)
    assert value(found, "harbor_task_queue_size", type="REPLICATION") == 1
    assert 89 < value(found, "harbor_task_queue_latency", type="REPLICATION") < 150
    assert value(found, "harbor_task_concurrency", type="REPLICATION", pool="a") == 1


def test_scraping_often_asks_the_database_once(client: Client, library: Project) -> None:
    """And the number of questions does not grow with what there is."""
    with CaptureQueriesContext(
        connection,
    ) as first:
        scrape(client)
    Project.objects.create(name="another", owner=library.owner)
    with CaptureQueriesContext(connection) as second:
        found = scrape(client)
    assert len(second) <= 2 < len(first) < 25
    assert value(found, "harbor_statistics_total_project_amount") == 1


# --- what was counted -------------------------------------------------------------------------------------


def answered(path: str, status: str = "200 OK", method: str = "GET", seconds: float = 0.003, name: str = "") -> None:
    counted = meters.meters()
    counted.began()
    counted.answered({"REQUEST_METHOD": method, "PATH_INFO": path, meters.OPERATION: name}, status, seconds)


def test_requests_are_counted_by_method_code_and_operation(client: Client) -> None:
    labels = {"method": "GET", "code": "200", "operation": "v2_manifest"}
    before = scrape(client, "core").get(("harbor_core_http_request_total", frozenset(labels.items())), 0)
    answered("/v2/metrics/app/manifests/1")
    answered("/api/v2.0/projects", "503 Service Unavailable", name="GetProjects")
    answered("/v2/strangers/app/manifests/1", "404 Not Found", method="BREW")
    found = scrape(client, "core")
    assert value(found, "harbor_core_http_request_total", **labels) == before + 1
    assert value(found, "harbor_core_http_request_total", method="GET", code="503", operation="GetProjects") >= 1
    assert value(found, "harbor_core_http_request_total", method="other", code="404", operation="v2_manifest") >= 1
    assert value(found, "harbor_core_http_registry_proxy_requests_total", project="metrics", method="GET") >= 1
    assert not any("strangers" in dict(labels).values() for _name, labels in found)
    assert value(found, "harbor_core_http_inflight_requests") == 0


def test_durations_are_a_histogram_and_harbors_summary(client: Client) -> None:
    for seconds in (0.003, 0.003, 0.003, 0.2):
        answered("/v2/x/y/tags/list", seconds=seconds)
    labels = {"method": "GET", "operation": "v2_tags"}
    found = scrape(client, "core")
    assert value(found, "harborsite_http_request_duration_seconds_bucket", **labels, le="0.005") >= 3
    count = value(found, "harbor_core_http_request_duration_seconds_count", **labels)
    assert count == value(found, "harborsite_http_request_duration_seconds_count", **labels) >= 4
    assert 0.002 < value(found, "harbor_core_http_request_duration_seconds", **labels, quantile="0.5") <= 0.005
    assert 0.1 < value(found, "harbor_core_http_request_duration_seconds", **labels, quantile="0.99") <= 0.25


def test_the_registry_is_counted_in_distributions_words(client: Client) -> None:
    answered("/v2/x/y/blobs/uploads/", "202 Accepted", method="POST")
    found = scrape(client, "registry")
    assert value(found, "registry_http_requests_total", handler="blob-upload", method="post", code="202") >= 1
    labels = {"handler": "blob-upload", "method": "post"}
    assert value(found, "registry_http_request_duration_seconds_count", **labels) >= 1


@pytest.mark.parametrize(("status", "name"), [("Success", "success"), ("Error", "fail"), ("Stopped", "stop")])
def test_tasks_are_counted_when_they_have_ended(client: Client, status: str, name: str) -> None:
    """What other tests of this process have counted stays counted."""
    before, labels = scrape(client, "jobservice"), {"type": "RETENTION", "status": name}
    metrics._exporter.forget()
    now = timezone.now()
    execution = Execution.objects.create(vendor_type="RETENTION", trigger=Trigger.MANUAL, start_time=now)
    task = Task.objects.create(
        execution=execution, vendor_type="RETENTION", status=status, start_time=now - timedelta(seconds=3), end_time=now
    )
    for each in ("Running", status):
        tasks.count(task_id=task.pk, vendor_type="RETENTION", status=Status(each))
    Worker.objects.create(name="a:1", host="a", pid=1, start_time=now, heartbeat=now)
    found = scrape(client, "jobservice")
    for counter, more in (("task_total", 1), ("task_process_time_seconds_sum", 3)):
        key = f"harbor_jobservice_{counter}", frozenset(labels.items())
        assert found[key] - before.get(key, 0) == pytest.approx(more)
    assert value(found, "harbor_jobservice_info", node="a", pool="a", workers="1") == 1


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v2/", "v2_others"),
        ("/v2/_catalog", "v2_catalog"),
        ("/v2/a/b/tags/list", "v2_tags"),
        ("/v2/a/blobs/uploads", "v2_blob_upload"),
        ("/v2/a/blobs/uploads/1", "v2_blob_upload"),
        ("/v2/a/blobs/sha256:1", "v2_blob"),
        ("/v2/a/referrers/sha256:1", "v2_referrers"),
        ("/service/token", "unknown"),
        ("/", "unknown"),
    ],
)
def test_operations_have_harbors_names(path: str, operation: str) -> None:
    assert of_path(path) == operation


def test_views_name_their_operation(client: Client) -> None:
    answer = client.get("/api/v2.0/systeminfo")
    assert answer.wsgi_request.META[meters.OPERATION] == "GetSystemInfo"
