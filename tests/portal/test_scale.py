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
from harborsite.setup import demo
from projects.models import Project, User
from registry.models import Repository
from tests.portal.conftest import SignedIn

MOST_QUERIES = 12
MOST_BYTES = 60 * 1024  # of the page itself, gzipped, at the largest page size
# The lists, by the names of their addresses; True for those within a project.
LISTS = {
    "projects": False,
    "logs": False,
    "users": False,
    "robots": False,
    "labels": False,
    "quotas": False,
    "events": False,
    "repositories": True,
    "members": True,
    "project_labels": True,
    "project_robots": True,
    "project_logs": True,
}


@pytest.fixture
def full(admin: User) -> Repository:
    """More than a page of everything, and of repositories and artifacts more than the largest page."""
    demo.seed(size=demo.Size(24, 1, 1, 300), prefix="many", password=None, report=lambda line: None)
    demo.seed(size=demo.Size(1, 110, 1, 0), prefix="wide", password=None, report=lambda line: None)
    demo.seed(size=demo.Size(1, 1, 110, 0), prefix="deep", password=None, report=lambda line: None)
    return Repository.objects.get(project__name="deep-001")


def addresses(full: Repository) -> list[str]:
    project = Project.objects.get(name="wide-001").name
    found = [reverse(f"admin:{name}", args=[project] if inside else []) for name, inside in LISTS.items()]
    return [*found, reverse("admin:repository", args=[full.project.name, full.short_name])]


def test_a_page_of_any_list_costs_few_queries_and_bytes(full: Repository, admin: User, signed_in: SignedIn) -> None:
    client, wrong = signed_in(admin), []
    client.get("/projects/")  # what a process reads once in a while, it has read
    for address in addresses(full):
        for asked in ("", "?page_size=100", "?q=a&page_size=100", "?p=2&o=1"):
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(address + asked)
            assert answer.status_code == 200, address + asked
            size = len(gzip.compress(answer.content))
            if len(queries) > MOST_QUERIES or size > MOST_BYTES:
                wrong.append(f"{address}{asked}: {len(queries)} queries, {size} bytes")
    assert not wrong, "\n".join(wrong)


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
