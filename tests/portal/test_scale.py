"""Every list of the portal holds at scale: few queries and a small page, however many rows there are."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.admin import AuditLogAdmin
from audit.models import AuditLog
from harborsite.jobs.kinds import REPLICATION, RETENTION, WEBHOOK
from harborsite.jobs.models import Execution
from harborsite.setup import demo
from projects import params
from projects.models import Project, User
from tests.portal.conftest import SignedIn
from tests.portal.crowd import make_crowd

MOST_QUERIES = 12
MOST_BYTES = 60 * 1024  # of the page itself, gzipped, at the largest page size
# Every list, by the names of their addresses.
LISTS = (
    "projects", "logs", "users", "robots", "groups", "registries", "replications", "labels", "quotas", "events",
    "garbage_runs", "purge_runs", "check_runs", "job_queues", "job_schedules", "job_workers", "scanners",
    "distributions",
)  # fmt: skip
LISTS_OF_A_PROJECT = (
    "repositories", "members", "project_labels", "project_robots", "webhooks", "policy", "immutable_rules",
    "project_logs",
)  # fmt: skip


@pytest.fixture
def crowd(db: None) -> User:
    """The administrator of a registry that has more than the largest page of everything."""
    return make_crowd()


def addresses() -> list[str]:
    shop = Project.objects.get(name="web-shop")
    runs = {kind: Execution.objects.filter(vendor_type=kind).latest("pk") for kind in (WEBHOOK, REPLICATION, RETENTION)}
    hook, rule = runs[WEBHOOK].vendor_id, runs[REPLICATION].vendor_id
    below: list[tuple[str, list[str | int]]] = [
        ("repository", [shop.name, "storefront"]),
        ("footprints", [f"{shop.name}/storefront"]),
        ("event", [runs[REPLICATION].pk]),
        ("webhook_runs", [shop.name, hook]),
        ("webhook_run", [shop.name, hook, runs[WEBHOOK].pk]),
        ("replication_runs", [rule]),
        ("replication_run", [rule, runs[REPLICATION].pk]),
        ("retention_run", [shop.name, runs[RETENTION].pk]),
    ]
    return [
        *(reverse(f"admin:{name}") for name in LISTS),
        *(reverse(f"admin:{name}", args=[shop.name]) for name in LISTS_OF_A_PROJECT),
        *(reverse(f"admin:{name}", args=arguments) for name, arguments in below),
    ]


def test_a_page_of_any_list_costs_few_queries_and_bytes(
    crowd: User, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(params, "_FRESH_SECONDS", 3600.0)
    client, wrong = signed_in(crowd), []
    client.get("/projects/")  # what a process reads once in a while, it has read
    for address in addresses():
        for asked in ("", "?page_size=100", "?q=a&page_size=100", "?p=2&o=1"):
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(address + asked)
            assert answer.status_code == 200, address + asked
            size = len(gzip.compress(answer.content))
            if len(queries) > MOST_QUERIES or size > MOST_BYTES:
                wrong.append(f"{address}{asked}: {len(queries)} queries, {size} bytes")
    assert not wrong, "\n".join(wrong)


def test_pages_travel_gzipped_and_the_answers_of_the_api_as_they_are(admin: User, signed_in: SignedIn) -> None:
    client, accepted = signed_in(admin), {"accept-encoding": "gzip, br"}
    plain, sent = client.get("/users/"), client.get("/users/", headers=accepted)
    assert gzip.decompress(sent.content).count(b"<tr") == plain.content.count(b"<tr")
    assert sent["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in sent["Vary"]
    assert len(sent.content) < len(plain.content) / 2
    assert "Content-Encoding" not in plain
    assert "Content-Encoding" not in client.get("/api/v2.0/users", headers=accepted)


def test_a_search_in_the_log_reads_the_newest_entries_and_says_so(
    admin: User, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.seed(size=demo.Size(1, 1, 1, 300), prefix="demo", password=None, report=lambda line: None)
    monkeypatch.setattr(AuditLogAdmin, "search_newest", 100)
    client, oldest = signed_in(admin), AuditLog.objects.order_by("op_time")[0]

    def page(**asked: Any) -> str:
        return str(client.get("/logs/", asked).content.decode())

    AuditLog.objects.filter(pk=oldest.pk).update(resource="the-oldest-one")
    assert "Nothing matches" in page(q="the-oldest-one")
    assert "Searched the newest 100 entries" in page(q="the-oldest-one")
    day = oldest.op_time.date().isoformat()
    found = page(q="the-oldest-one", to=day)
    assert "the-oldest-one</span>" in found, "filtering by date leads to older ones"
    assert "Searched the newest" not in found
    assert "Searched the newest" not in page()
