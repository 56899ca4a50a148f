"""Each thing that is lost by a click, in a real browser: the question before it, the way back, and the refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from projects.models import Project
from tests.portal.addresses import address_of
from tests.portal.browsing import watched
from tests.portal.sample import make_registry
from tests.portal.screenshots import sign_in, visit
from tests.portal.test_addresses import rows

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SHOP = "/projects/web-shop/"
# the question, where, the row that is chosen, the button; in an order in which nothing is in another one's way
CHOSEN = (
    ("Delete users?", "/users/", "tom@example.com", "Delete"),
    ("Remove members?", f"{SHOP}members/", "aicha", "Remove"),
    ("Delete groups?", "/groups/", "staff", "Delete"),
    ("Delete robot accounts?", "/robots/", "robot$backup", "Delete"),
    ("Delete robot accounts?", f"{SHOP}robots/", "robot$web-shop+ci", "Delete"),
    ("Delete webhooks?", f"{SHOP}webhooks/", "chat", "Delete"),
    ("Delete labels?", "/labels/", "golden", "Delete"),
    ("Delete labels?", f"{SHOP}labels/", "staging", "Delete"),
    ("Delete artifacts?", f"{SHOP}repositories/storefront/", "v2.22.0", "Delete"),
    ("Delete repositories?", f"{SHOP}repositories/", "charts/storefront", "Delete"),
    ("Delete projects?", "/projects/", "ops", "Delete"),
    ("Delete immutability rules?", f"{SHOP}policy/immutable/", "v2.9*", "Delete"),
    ("Delete replication rules?", "/replications/", "base-images", "Delete"),
    ("Delete registries?", "/registries/", "docker-hub", "Delete"),
    ("Delete instances?", "/distributions/", "lab", "Delete"),
    ("Delete scanners?", "/scanners/", "clair", "Delete"),
    ("Remove tags?", f"{SHOP}repositories/storefront/#first", "v2.23.0", "Remove tags"),
    ("Remove what is in quarantine?", "/clean-up/storage/quarantine/", "", "Remove"),
)
# the same for rows that have to stay: what needs them is there
REFUSED = (
    ("Remove members?", f"{SHOP}members/", "admin", "Remove"),
    ("Delete artifacts?", f"{SHOP}repositories/storefront/?q=v2.9.0", "v2.9.0", "Delete"),
    ("Delete repositories?", f"{SHOP}repositories/", "payments/gateway", "Delete"),
    ("Delete projects?", "/projects/", "web-shop", "Delete"),
    ("Delete registries?", "/registries/", "branch-office", "Delete"),
)
# pages that are themselves a question
PAGES = {
    "delete_retention_rule": "Delete this rule?",
    "run_retention": "Run tag retention now?",
    "start_replication": "Replicate now?",
    "delete_artifact": "Delete artifact?",
    "stop_event": "Stop this execution?",
    "stop_running_jobs": "Stop what the workers do?",
    "stop_waiting_jobs": "Stop the jobs that wait?",
}
_TITLE = re.compile(r"""title"?[=:]\s*_\(\s*"([^"]+\?)"\s*\)""")


def test_every_question_of_the_portal_is_asked_here() -> None:
    here = Path(__file__).parents[2]
    asked = set[str]()
    for app in ("harborsite", "audit", "projects", "registry", "replication"):
        for source in (here / app).rglob("*.py"):
            asked |= set(_TITLE.findall(source.read_text()))
    asked.remove("Stop executions?")  # the page of each asks "Stop this execution?"
    assert asked == {question for question, *_ in (*CHOSEN, *REFUSED)} | set(PAGES.values())


def listed(page: Page, row: str) -> Locator:
    found = page.locator("main tbody tr")
    return found.filter(has_text=re.compile(re.escape(row))) if row else found


def choose(page: Page, address: str, row: str, button: str) -> None:
    visit(page, address)
    listed(page, row).first.locator("input.action-select").check()
    page.locator("main").get_by_role("button", name=button, exact=True).first.click()


def ask(page: Page, address: str, question: str, row: str, button: str) -> None:
    choose(page, address, row, button)
    expect(page.get_by_role("heading", name=question)).to_be_visible()


def go_back(page: Page) -> None:
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name=re.compile(r"\?$"))).to_have_count(0)


def confirm(page: Page, outcome: str) -> None:
    """The button that is marked as dangerous, or as what one came for."""
    page.locator("main .form-buttons button").click()
    expect(page.locator(f".messages .{outcome}")).to_be_visible()


def test_nothing_is_lost_without_a_question_and_its_answer(browser: Browser, live_server: LiveServer) -> None:
    """Asked, taken back, refused with the reason where something needs it, and done once it is confirmed."""
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page, shop = watch.page, Project.objects.get(name="web-shop")
    sign_in(page, live_server.url, "admin")
    before = rows()
    choose(page, f"{live_server.url}/users/", "admin@example.com", "Delete")
    expect(page.get_by_text("Your own account has been left as it is.")).to_be_visible()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    assert rows() == before
    for rows_of, outcome, fewer in ((REFUSED, "error", 0), (CHOSEN, "success", 1)):
        for question, where, row, button in rows_of:
            address, before = live_server.url + where, rows()
            ask(page, address, question, row, button)
            go_back(page)
            assert rows() == before, f"{where}: {question} was taken back"
            number = listed(page, row).count()
            assert number, where
            ask(page, address, question, row, button)
            assert rows() == before, f"{where}: {question} was not answered"
            confirm(page, outcome)
            expect(listed(page, row)).to_have_count(number - fewer)
            assert (rows() == before) == (outcome == "error"), where
    for name, question in PAGES.items():
        address, before = live_server.url + address_of(name, shop), rows()
        page.goto(address)
        expect(page.get_by_role("heading", name=question)).to_be_visible()
        go_back(page)
        page.goto(address)
        assert rows() == before, name
        for tick in page.locator("main form input[type=checkbox][required]").all():
            tick.check()
        confirm(page, "success")
        assert rows() != before, name
    watch.check()
