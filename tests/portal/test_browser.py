"""The portal in a real browser: what people do there, by mouse, by keyboard and without script."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from harborsite.jobs.kinds import REPLICATION
from harborsite.jobs.models import Status, Task
from projects.identity.signin import DEFAULT_PASSWORD
from projects.models.user import ADMIN_ID
from tests.factories import PASSWORD, make_user
from tests.portal.browsing import watched
from tests.portal.sample import make_registry
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_the_main_walk_of_a_new_administrator(browser: Browser, live_server: LiveServer) -> None:
    """First sign-in, new password, project, tabs, language, theme, sign-out: with the mouse, and nothing complains."""
    make_user("admin", pk=ADMIN_ID, sysadmin_flag=True, password=DEFAULT_PASSWORD)
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin", DEFAULT_PASSWORD)
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()
    page.get_by_label("Present password").fill(DEFAULT_PASSWORD)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password has been changed.")).to_be_visible()

    page.get_by_role("link", name="New project").click()
    page.get_by_label("Project name").fill("team-a")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", name="team-a")).to_be_visible()
    page.get_by_text("Push commands").click()
    expect(page.get_by_text("docker push testserver/team-a/NAME:TAG", exact=True)).to_be_visible()
    for tab in ("Summary", "Repositories", "Members", "Logs"):
        page.get_by_role("navigation", name="Project").get_by_role("link", name=tab).click()
        expect(
            page.get_by_role("link", name=tab, exact=True).and_(page.locator(".tabs [aria-current]"))
        ).to_be_visible()

    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("navigation", name="项目").get_by_role("link", name="日志")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator("summary", has_text="admin").click()
    page.get_by_role("button", name="退出登录").click()
    expect(page.get_by_role("heading", name="登录 Harborsite")).to_be_visible()
    watch.check()


def test_searching_while_typing_keeps_the_address_and_the_focus(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/projects/web-shop/repositories/storefront/")
    box = page.get_by_label("Search in this list")
    box.press_sequentially("v2.2")
    expect(page.get_by_text("1–5 of 5")).to_be_visible()
    assert page.url.endswith("?q=v2.2")
    expect(box).to_be_focused()
    expect(page.locator("#result_list time").first).not_to_contain_text("UTC")
    page.locator("#action-toggle").check()
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()
    watch.check()


def test_copying_a_line_puts_it_on_the_clipboard(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light", permissions=["clipboard-read", "clipboard-write"])
    page = watch.page
    page.goto(f"{live_server.url}/projects/library/repositories/hello-world/")
    page.get_by_text("Pull commands").click()
    page.get_by_role("button", name="Copy: podman pull testserver/library/hello-world:TAG").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "podman pull testserver/library/hello-world:TAG"
    watch.check()


def test_a_registry_is_tried_in_the_page_and_its_provider_fills_the_form(
    browser: Browser, live_server: LiveServer
) -> None:
    """What was entered stays while the connection is tried; the address is loopback, which may not be called here."""
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/registries/new/")
    page.get_by_label("Name", exact=True).fill("nearby")
    page.get_by_label("Provider").select_option("docker-hub")
    expect(page.get_by_label("Endpoint URL")).to_have_value("https://hub.docker.com")
    page.get_by_label("Provider").select_option("google-gcr")
    expect(page.get_by_label("Access ID")).to_have_value("_json_key")
    page.get_by_label("Endpoint URL").fill("http://127.0.0.1:9/")
    page.get_by_label("Access secret").fill("canary-91")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#answer")).to_contain_text("the registry is unhealthy")
    expect(page.get_by_label("Access secret")).to_have_value("canary-91")
    assert page.url.endswith("/registries/new/")
    assert not [url for url in watch.requests if "canary" in url]
    watch.check()


def test_the_form_of_a_rule_asks_what_the_trigger_needs(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/replications/new/")
    often, cron, deletion = (page.get_by_label(name) for name in ("How often", "Cron expression", "Delete remote"))
    for part in (often, cron, deletion):
        expect(part).to_be_hidden()
    page.get_by_label("Trigger").select_option("Scheduled")
    expect(often).to_be_visible()
    expect(cron).to_be_hidden()
    often.select_option("By a cron expression")
    expect(cron).to_be_visible()
    page.get_by_label("Trigger").select_option("Event based")
    for part in (often, cron):
        expect(part).to_be_hidden()
    expect(deletion).to_be_visible()
    page.get_by_label("Name", exact=True).fill("on-push")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The replication rule has been saved.")).to_be_visible()
    expect(page.get_by_role("heading", name="on-push")).to_be_visible()
    watch.check()


def test_the_configuration_of_a_project_asks_what_its_choices_need(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/projects/web-shop/configuration/")
    severity, items = page.get_by_label("From this severity on"), page.get_by_label("Vulnerabilities", exact=True)
    expect(severity).to_be_visible()
    page.get_by_label("Refuse pulls of vulnerable images").uncheck()
    expect(severity).to_be_hidden()
    page.get_by_label("Those of the system").check()
    copy = page.get_by_role("button", name="Copy from the system's list")
    for part in (items, copy):
        expect(part).to_be_hidden()
    page.get_by_label("Those of this project").check()
    copy.click()
    expect(items).to_have_value("CVE-2025-48174\nCVE-2026-1187\nCVE-2026-20934")
    expect(severity).to_be_hidden()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The configuration has been saved.")).to_be_visible()
    watch.check()


def test_progress_moves_by_itself_but_not_under_a_choosing_hand(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    visit(page, live_server.url + PAGES["replication-run"])
    running = Task.objects.filter(vendor_type=REPLICATION, status=Status.RUNNING)
    row = page.locator("tr", has_text="payments/gateway")
    expect(row.locator("progress")).to_have_attribute("value", "41")
    running.update(done=48)
    expect(row.locator("progress")).to_have_attribute("value", "80")
    row.locator("input.action-select").check()
    running.update(done=54)
    page.wait_for_timeout(2_500)
    expect(row.locator("progress")).to_have_attribute("value", "80")
    expect(row.locator("input.action-select")).to_be_checked()
    row.locator("input.action-select").uncheck()
    expect(row.locator("progress")).to_have_attribute("value", "90")
    watch.check()


def test_every_page_works_without_script(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    page = watched(browser, live_server, "en", 1440, "light", java_script_enabled=False).page
    sign_in(page, live_server.url, "admin")
    page.fill("#searchbar", "web")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("1–1 of 1")).to_be_visible()
    page.get_by_role("link", name="web-shop").click()
    page.get_by_role("link", name="storefront", exact=True).click()
    page.locator("input.action-select").first.check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete artifacts?")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("1–15 of 25")).to_be_visible()
