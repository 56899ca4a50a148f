"""Every list of the REST API holds at scale: few queries however long the page, and an index for every filter.

The lists are found by their routes and the columns by what a request hands to `query`, so that a new list or column is
held to this without being named here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model, QuerySet, TextField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from harborsite.api import openapi, query
from harborsite.api.query import Column, Columns, Term, to_flag, to_number, to_text, to_time
from harborsite.jobs.kinds import GARBAGE_COLLECTION, PURGE_AUDIT_LOG, REPLICATION, RETENTION, WEBHOOK
from harborsite.jobs.models import Execution, Schedule, Task, Trigger
from harborsite.setup import demo
from projects.models import Project, User, UserGroup, WebhookPolicy
from registry.models import Artifact, RetentionPolicy, Scanner
from replication.models import PreheatInstance, Registry, ReplicationPolicy
from tests.factories import client_for

MOST_QUERIES = 15  # of one request, whatever is listed: the caller, the project, the total, the rows and what they need
SAMPLES: Mapping[Callable[[str], Any], tuple[str, ...]] = {
    to_text: ("some", "{some other}"),
    to_number: ("1", "[1~2]"),
    to_flag: ("true",),
    to_time: ("2026-01-02", "[2026-01-02~2026-01-03]"),
}
# What an administrator makes one by one: never so many that an index would be looked at.
MADE_BY_HAND = (PreheatInstance, Registry, ReplicationPolicy, Scanner)
NEEDED = {  # the parameters without which a list refuses
    "LabelsView": "scope=g",
    "UserSearchView": "username=demo",
    "UserGroupSearchView": "groupname=g",
    "RepositoryFootprintView": "repository={repository}",
    "WebhookJobsView": "policy_id={webhook_policy_id}",
}
_FIRST: Mapping[str, object] = {"page_size": 100}
_HUNDREDTH: Mapping[str, object] = {"page_size": 1, "page": 100}


def lists() -> Iterator[tuple[str, type]]:
    for path, view in openapi._routes(get_resolver()):
        if path.startswith(openapi.PREFIX) and "GET" in getattr(view, "actions", {}):
            source = inspect.getsource(view.get) if hasattr(view, "get") else ""
            if re.search(r"\b_?page(d|d_list)?\(|Page\.of\(", source):
                yield path, view


LISTS = dict(lists())


@pytest.fixture
def world(admin: User) -> dict[str, Any]:
    """Enough of everything for a full page, and the path parts that lead to it."""
    demo.seed(size=demo.Size(2, 52, 10, 300), prefix="demo", password=None, report=lambda line: None)
    project = Project.objects.order_by("pk")[0]
    artifact = Artifact.objects.filter(repository__project=project).order_by("pk")[0]
    now = timezone.now()
    policy = WebhookPolicy.objects.create(project=project, name="hook")
    retention = RetentionPolicy.objects.create(project=project)
    registries = [Registry.objects.create(name=f"r{number}", type="harbor", url="https://r") for number in range(20)]
    for number, registry in enumerate(registries):
        ReplicationPolicy.objects.create(name=f"p{number}", src_registry=registry)
        UserGroup.objects.create(group_name=f"g{number}", group_type=1)
        Schedule.objects.create(vendor_type=RETENTION, vendor_id=number, cron="0 0 0 * * *", next_time=now)
    runs = {
        REPLICATION: ReplicationPolicy.objects.order_by("pk")[0].pk,
        RETENTION: retention.pk,
        WEBHOOK: policy.pk,
        GARBAGE_COLLECTION: 0,
        PURGE_AUDIT_LOG: 0,
    }
    newest = {}
    for kind, vendor_id in runs.items():
        for _number in range(30):
            run = Execution.objects.create(
                vendor_type=kind, vendor_id=vendor_id, trigger=Trigger.MANUAL, start_time=now, launched=True
            )
            newest[kind] = run.pk
        Task.objects.bulk_create([Task(execution=run, vendor_type=kind, start_time=now) for _number in range(30)])
    return {
        "project_name_or_id": project.name,
        "repository_name": artifact.repository.short_name.replace("/", "%252F"),
        "repository": artifact.repository.name,
        "reference": artifact.digest,
        "webhook_policy_id": policy.pk,
        "execution_id": newest[WEBHOOK],
        "eid": newest[RETENTION],
        "id": {"TasksView": newest[REPLICATION]}.get,
        "retention": retention.pk,
    }


def address(path: str, view: type, world: Mapping[str, Any]) -> str:
    def part(found: re.Match[str]) -> str:
        name = found[2]
        return str((world["id"](view.__name__) or world["retention"]) if name == "id" else world[name])

    return re.sub(r"<(?:(\w+):)?(\w+)>", part, path) + "?" + NEEDED.get(view.__name__, "").format_map(world)


class Spy:
    """Notes which columns a list may be filtered by, which it is filtered and sorted by, and of which model."""

    columns: Columns
    sorts: Columns
    model: type[Model] | None

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forget()
        filtered, order = query.filtered, query.order

        def note_filtered(rows: QuerySet[Any], terms: Mapping[str, Term], columns: Columns) -> QuerySet[Any]:
            self.columns, self.model = {**self.columns, **columns}, rows.model
            return filtered(rows, terms, columns)

        def note_order(sort: str, columns: Columns, default: tuple[str, ...]) -> tuple[str, ...]:
            self.sorts = {**self.sorts, **columns}
            return order(sort, columns, default)

        monkeypatch.setattr(query, "order", note_order)
        monkeypatch.setattr(query, "filtered", note_filtered)

    def forget(self) -> None:
        self.columns, self.sorts, self.model = {}, {}, None


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def asked(client: Client, url: str, **parameters: object) -> list[str]:
    """The statements that a list runs."""
    text = "".join(f"&{name}={value}" for name, value in parameters.items())
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(url + text)
    assert answer.status_code == 200, f"{url}{text}: {answer.status_code} {answer.content[:300]!r}"
    return [entry["sql"] for entry in captured.captured_queries]


def test_a_page_costs_few_queries_whatever_it_is_sorted_and_filtered_by(
    world: Mapping[str, Any], admin: User, spy: Spy
) -> None:
    client, wrong = client_for(admin), []
    cases = 0
    for path, view in LISTS.items():
        url = address(path, view, world)
        spy.forget()
        asked(client, url, q="unheard=of")
        tried: list[Mapping[str, object]] = [_FIRST, _HUNDREDTH]
        for name in spy.sorts:
            tried += [{"sort": name, **_FIRST}, {"sort": f"-{name}", **_HUNDREDTH}]
        for name, column in spy.columns.items():
            tried += [{"q": f"{name}={sample}", **_FIRST} for sample in samples(column)]
        for parameters in tried:
            count = len(asked(client, url, **parameters))
            cases += 1
            if count > MOST_QUERIES:
                wrong.append(f"{url} {parameters}: {count} queries")
    assert not wrong, "\n".join(wrong)
    assert cases > 400, "the columns are no longer found"


def samples(column: Column) -> tuple[str, ...]:
    if column.convert is to_text:
        return (*SAMPLES[to_text], "~some")
    return SAMPLES[column.convert]


def is_indexable(model: type[Model], path: str) -> bool:
    """Neither MySQL nor MariaDB has an index for a text without a limit."""
    field: Any = model._meta.pk
    for name in path.split("__"):
        if name != "pk":
            field = model._meta.get_field(name)
            model = field.related_model or model
    return not isinstance(field, TextField)


def test_a_filter_never_reads_the_whole_table(world: Mapping[str, Any], admin: User, spy: Spy) -> None:
    """Not of a substring, which no index finds: it reads what is left of the table by the other filters."""
    client, wrong = client_for(admin), []
    explained = 0
    for path, view in LISTS.items():
        url = address(path, view, world)
        spy.forget()
        asked(client, url, q="unheard=of")
        model, columns = spy.model, dict(spy.columns)
        if model is None or model in MADE_BY_HAND:
            continue
        for name, column in columns.items():
            if not is_indexable(model, column.path):
                continue
            for sample in SAMPLES[column.convert]:
                for sql in asked(client, url, q=f"{name}={sample}"):
                    if f"FROM {connection.ops.quote_name(model._meta.db_table)}" in sql:
                        explained += 1
                        wrong += [f"{path} {name}={sample}: {step}\n{sql}" for step in scans(sql, model)]
    assert not wrong, "\n".join(wrong)
    assert explained > 100, "the statements are no longer found"


def scans(sql: str, model: type[Model]) -> list[str]:
    """The steps of the database's plan that read the table of `model` from end to end."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return [step for *_, step in cursor.fetchall() if re.match(rf"SCAN {table}\b", step)]
        cursor.execute(f"EXPLAIN {sql.replace('%', '%%')}")
        names = [column[0] for column in cursor.description]
        steps = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    # With so few rows the server may find reading them all the quickest way, but it must have had the choice.
    return [
        str(step)
        for step in steps
        if step["table"] == table and step["type"] in {"ALL", "index"} and not step["possible_keys"]
    ]
