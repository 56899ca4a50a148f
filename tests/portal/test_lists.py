"""What the lists show: their columns, by which of them they can be ordered, and what narrows them."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from harborsite.jobs.kinds import PURGE_AUDIT_LOG, REPLICATION, RETENTION, WEBHOOK
from harborsite.jobs.models import Execution
from projects.models import Project, User, UserGroup
from projects.services.labels import create_label
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_execution, make_registry

# Address → its columns; an asterisk says that the list can be ordered by it. `?` in front: there is a search.
RUN = "*Execution, *Status, *Trigger, Dry run, Details, *Started, Duration, Log"
LOG = "?*Time, *User name, Operation, Resource type, Resource, Details, Result"
ROBOTS = "?*Name, *State, Rights, *Expires, *Created, *Description"
LABELS = "?*Label, *Description, *Created"
LISTS = {
    "/projects/": "?*Name, *Access level, Role, Repositories, *Created",
    "/projects/web-shop/repositories/": "?*Name, Artifacts, *Pulls, *Last modified",
    "/projects/web-shop/repositories/storefront/": (
        "?*Artifact, Tags, *Type, OS/ARCH, Signed by, Accessories, *Size, Labels, *Pushed, *Pulled, Copy"
    ),
    "/logs/": LOG,
    "/users/": "?*User name, *Administrator, *Source, *State, *E-mail, *Full name, *Registered",
    "/groups/": "?*Name, *Type, *DN, *Created",
    "/robots/": ROBOTS,
    "/registries/": (
        "?*Name, *Status, *Endpoint URL, *Provider, *Certificate verified, *Access ID, *Created, Description"
    ),
    "/replications/": ("?*Name, *State, Mode, *Source, *Destination, *Trigger, Last run, *Bandwidth, Description"),
    "/replications/{rule}/": "?*Execution, *Status, *Trigger, *Started, Duration, Success rate, Tasks",
    "/replications/{rule}/{copying}/": (
        "?*Task, *Status, Progress, Log, Source, Destination, Operation, Resource, *Started, *Ended"
    ),
    "/distributions/": "?*Name, *State, *Endpoint URL, *Provider, *Authorization, *Created, Description",
    "/labels/": LABELS,
    "/quotas/": "?*Project, *Owner, *Used, *Limit, Share",
    "/scanners/": "?*Name, *State, *Endpoint URL, *Authorization, Finds, *Created, Description",
    "/clean-up/": f"?{RUN}",
    "/clean-up/log-rotation/": f"?{RUN}",
    "/clean-up/storage/": f"?{RUN}",
    "/job-service/schedules/": "*Number, *Kind, *Kind id, Cron (UTC), *Next run, *Updated",
    "/events/": "?*Kind, *Execution, *Status, *Trigger, *Started, Duration, Tasks",
    "/projects/web-shop/members/": "?*Name, *Member type, *Role, *Member since",
    "/projects/web-shop/labels/": LABELS,
    "/projects/web-shop/robots/": ROBOTS,
    "/projects/web-shop/webhooks/": (
        "?*Name, *State, Notify type, Endpoint URL, Events, Last delivery, *Created, Description"
    ),
    "/projects/web-shop/webhooks/{hook}/": "?*Execution, Event, *Kind, *Status, *Started, Duration",
    "/projects/web-shop/webhooks/{hook}/{telling}/": "?*Task, *Status, *Attempts, *Started, *Ended, Log",
    "/projects/web-shop/policy/": "?*Execution, *Status, Dry run, *Trigger, *Started, Duration, Tasks",
    "/projects/web-shop/policy/runs/{retaining}/": (
        "?*Task, Repository, *Status, Retained of all, *Started, Duration, Log"
    ),
    "/projects/web-shop/policy/immutable/": "Rule, *State, *Created",
    "/projects/web-shop/logs/": LOG,
}
TABLES = {
    "/job-service/": ["Kind", "Waiting", "Longest wait", "State"],
    "/job-service/workers/": [
        *("Machine", "Process", "Started", "Heartbeat", "Workers"),
        *("Worker", "Job", "Started", "Last sign", "Log"),
    ],
}
# What a list can be narrowed to, besides by its search.
FILTERS = {
    "/projects/": ["Access level"],
    "/logs/": ["Operation", "Resource type", "Result", "Date (UTC)"],
    "/users/": ["Administrator", "Active"],
    "/registries/": ["Status"],
    "/replications/": ["State", "Trigger"],
    "/replications/{rule}/": ["Status", "Trigger"],
    "/replications/{rule}/{copying}/": ["Status", "Resource"],
    "/events/": ["Kind", "Status", "Trigger"],
    "/projects/web-shop/members/": ["Role"],
    "/projects/web-shop/webhooks/{hook}/": ["Status", "Event"],
    "/projects/web-shop/policy/": ["Status", "Trigger"],
}


@pytest.fixture
def client(db: None, signed_in: SignedIn) -> Client:
    """The administrator of a registry that has something in every list."""
    admin: User = make_registry()
    UserGroup.objects.create(group_name="crew", group_type=UserGroup.Type.LDAP, ldap_group_dn="cn=crew,dc=example")
    for project in (None, Project.objects.get(name="web-shop")):
        create_label(name="new-one", description="", color="#0065AB", actor=admin, project=project)
    make_execution(kind=PURGE_AUDIT_LOG)
    return signed_in(admin)


def named() -> dict[str, int]:
    runs = {
        "telling": Execution.objects.filter(vendor_type=WEBHOOK).latest("pk"),
        "copying": Execution.objects.filter(vendor_type=REPLICATION).latest("pk"),
        "retaining": Execution.objects.filter(vendor_type=RETENTION, vendor_id__gt=0).latest("pk"),
    }
    whose = {"hook": runs["telling"].vendor_id, "rule": runs["copying"].vendor_id}
    return {**whose, **{name: run.pk for name, run in runs.items()}}


def test_every_list_has_its_columns_and_is_ordered_by_them(client: Client) -> None:
    for pattern, expected in LISTS.items():
        address = pattern.format(**named())
        page = client.get(address).content.decode()
        found = re.findall(r'<th scope="col" class="[^"]*column-(\w+)[^>]*>(?:<a href="([^"]+)">)?([^<]+)<', page)
        search = "?" if 'id="searchbar"' in page else ""
        columns = [("*" if link else "") + title for _name, link, title in found]
        assert search + ", ".join(columns) == expected, address
        for name, link, _title in found:
            if link:
                ordered = client.get(address + unescape(link)).content.decode()
                assert re.search(rf'class="[^"]*column-{name}[^"]*" aria-sort=', ordered), (address, name)


def test_the_tables_of_the_job_service_have_theirs(client: Client) -> None:
    for address, expected in TABLES.items():
        found = re.findall(r'<th scope="col"(?: class="number")?>([^<]+)</th>', client.get(address).content.decode())
        assert found == expected, address


def test_lists_are_narrowed_by_what_they_show(client: Client) -> None:
    for pattern, expected in FILTERS.items():
        page = client.get(pattern.format(**named())).content.decode()
        assert re.findall(r'class="filter-title"[^>]*>([^<]+)<', page) == expected, pattern
