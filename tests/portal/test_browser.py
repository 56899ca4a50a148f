"""The portal in a real browser: the main walk, every page in both languages, themes and widths, axe-core on each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from harborsite.jobs.kinds import REPLICATION
from harborsite.jobs.models import Status, Task
from projects.identity.signin import DEFAULT_PASSWORD
from projects.models.user import ADMIN_ID
from replication.admin.registries import PROVIDERS
from replication.preheat.admin import VENDORS
from tests.factories import PASSWORD, make_user
from tests.portal.sample import make_registry
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
LOOKS = [("en", 1440, "light"), ("zh-hans", 1440, "dark"), ("zh-hans", 390, "light"), ("en", 390, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; playwright keeps an event loop in this thread, which Django would take for asynchronous code."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Watched:
    """A page whose console must stay silent and which must load nothing from elsewhere."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = address

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "status of 404" not in text and "status of 403" not in text:
            self.complaints.append(text)

    def check(self) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith((self.address, "data:"))] == []


def watched(
    browser: Browser, live_server: LiveServer, language: str, width: int, theme: str, **options: Any
) -> Watched:
    scheme: Any = theme
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    context.add_cookies([{"name": "django_language", "value": language, "url": live_server.url}])
    return Watched(context, live_server.url)


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


def test_every_page_in_every_look(browser: Browser, live_server: LiveServer) -> None:
    """No axe violation, no complaint on the console, no sideways scroll, nothing left in English on a Chinese page."""
    make_registry()
    found: list[str] = []
    for language, width, theme in LOOKS:
        watch = watched(browser, live_server, language, width, theme, bypass_csp=True)
        page = watch.page
        page.goto(f"{live_server.url}/login/")
        found += [f"sign-in {language} {width} {theme}: {fault}" for fault in faults(page, language)]
        sign_in(page, live_server.url, "admin")
        for name, path in PAGES.items():
            visit(page, live_server.url + path)
            found += [f"{name} {language} {width} {theme}: {fault}" for fault in faults(page, language)]
        watch.check()
        page.context.close()
    assert not found, "\n".join(found)


def faults(page: Page, language: str) -> list[str]:
    page.evaluate(AXE)
    result = page.evaluate("axe.run()")
    wrong = [f"{rule['id']} {rule['nodes'][0]['html']}" for rule in result["violations"]]
    sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if sideways > 0:
        wrong.append(f"scrolls sideways by {sideways}px")
    if language == "zh-hans":
        wrong += [f"not Chinese: {text}" for text in page.evaluate(LATIN_TEXTS) if text not in NAMES]
    return wrong


# Visible text and labels without any Chinese in them, outside of what people named themselves.
LATIN_TEXTS = r"""() => {
  const own = ".mono, code, pre, .tag, .badge, td, tbody th, dd, dt, .crumbs, h1, .menu > summary"
    + ", .description, .labels, #id_registry, #id_scanner, [lang=en]";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim();
    if (/[A-Za-z]{2}/.test(text) && !/[\u4e00-\u9fff]/.test(text) && !node.parentElement.closest(own)) found.add(text);
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder], [alt]")) {
    if (element.closest(own)) continue;
    for (const name of ["aria-label", "title", "placeholder", "alt"]) {
      const text = (element.getAttribute(name) || "").trim();
      if (/[A-Za-z]{2}/.test(text) && !/[\u4e00-\u9fff]/.test(text)) found.add(text);
    }
  }
  return [...found];
}"""
PRODUCTS = ("Harborsite", "docker", "podman", "nerdctl", "ctr", "crictl", "helm", "oras")
TERMS = ("API v2.0", "REST API", "swagger.json", "OS/ARCH", "Tag", "Webhook", "SBOM", "MiB", "GiB", "TiB")
WEBHOOKS = ("HTTP", "Slack", "CloudEvents", "https://ci.example.com/hooks")
NAMES = frozenset(
    (*PRODUCTS, *PROVIDERS.values(), *VENDORS.values(), *TERMS, *WEBHOOKS, "English", "https://registry.example.com")
)


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


def test_the_keyboard_reaches_everything_and_escape_closes_the_menu(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    reached = []
    page.get_by_role("heading", name="Projects").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
    assert reached[0] == "Skip to main content"
    for text in ("Harborsite", "q", "简体中文", "admin", "Projects", "Users", "New project", "library"):
        assert text in reached, text
    page.locator("summary", has_text="admin").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.locator("summary", has_text="admin")).to_be_focused()
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
