"""The portal by keyboard alone: Tab comes to everything in its order, one sees where one is, and nothing holds one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from harborsite.jobs.kinds import REPLICATION
from harborsite.jobs.models import Status, Task
from tests.portal.browsing import watched
from tests.portal.sample import make_registry
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
# What Tab has to come to, by what it is; a group of radio buttons is one stop.
STOPS = r"""(where) => {
  const stops = "a[href], button:enabled, input:enabled:not([type=hidden]), select:enabled, textarea:enabled, summary,"
    + "[tabindex='0']";
  const isStop = (each) => {
    if (each.type !== "radio") return true;
    const group = [...each.form.elements].filter((one) => one.type === "radio" && one.name === each.name);
    return each === (group.find((one) => one.checked) ?? group[0]);
  };
  window.called = (each) => [
    each.tagName, each.getAttribute("href") ?? "", each.name ?? "", each.type ?? "",
    each.matches("[type=checkbox], button") ? each.value : "",
    each.matches("summary, code, pre") ? each.textContent.slice(0, 40) : "",
  ].join(" ").trim();
  const found = [...document.querySelectorAll(where)].flatMap((part) => [...part.querySelectorAll(stops)]);
  return found.filter((each) => each.checkVisibility({ visibilityProperty: true }) && isStop(each)).map(window.called);
}"""
WATCH = r"""(where) => {
  window.visited = []; window.unseen = [];
  document.addEventListener("focusin", (event) => {
    const each = event.target;
    if (!each.closest(where) || each.matches("main")) return;
    const called = window.called(each), style = getComputedStyle(each);
    if (window.visited.at(-1) !== called) window.visited.push(called);
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) window.unseen.push(called);
  });
}"""
FRAME = "body > .skip, header, .side"


def walk(page: Page, where: str, most: int = 1_000) -> list[str]:
    """What goes wrong when somebody presses Tab from where the focus is through that part of the page."""
    wanted: list[str] = page.evaluate(STOPS, where)
    page.evaluate(WATCH, where)
    parts_of_dates = 4 * sum(" date" in each for each in wanted)
    for _ in range(min(most, len(wanted) + parts_of_dates + 2)):
        page.keyboard.press("Tab")
    visited: list[str] = page.evaluate("window.visited")
    left = [each for each in visited if each in wanted]
    wrong = [f"no focus to be seen on {each}" for each in page.evaluate("window.unseen")]
    if left != _without_repeats(wanted)[: len(left)] or len(left) < len(_without_repeats(wanted)):
        missed = [each for each in wanted if each not in visited]
        wrong.append(f"comes to {len(left)} of {len(wanted)}; not to {missed[:3]}")
    return wrong


def _without_repeats(stops: list[str]) -> list[str]:
    return [each for number, each in enumerate(stops) if number == 0 or each != stops[number - 1]]


def test_tab_comes_to_everything_on_every_page_and_shows_where_it_is(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page, wrong = watch.page, []
    sign_in(page, live_server.url, "admin")
    page.get_by_role("heading", name="Projects").wait_for()
    page.evaluate("document.activeElement.blur()")
    wrong += [f"frame: {each}" for each in walk(page, FRAME)]
    for name, path in PAGES.items():
        visit(page, live_server.url + path)
        page.locator("main").focus()
        wrong += [f"{name}: {each}" for each in walk(page, "main")]
    watch.check()
    assert not wrong, "\n".join(wrong)


def test_escape_closes_what_was_opened_and_gives_the_focus_back(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/projects/web-shop/repositories/storefront/")
    for opener, within in (("admin", "Sign out"), ("Pull commands", "Copy: docker pull"), ("Columns", "Apply")):
        summary = page.locator("summary", has_text=opener)
        inside = page.get_by_role("button", name=within).first
        summary.focus()
        page.keyboard.press("Enter")
        expect(inside).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        expect(inside).to_be_hidden()
        expect(summary).to_be_focused()
    watch.check()


def test_a_page_that_looks_again_leaves_the_focus_where_it_is(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    page = watch.page
    sign_in(page, live_server.url, "admin")
    visit(page, live_server.url + PAGES["replication-run"])
    running = Task.objects.filter(vendor_type=REPLICATION, status=Status.RUNNING)
    row = page.locator("tr", has_text="payments/gateway")
    log = row.get_by_role("link").last
    log.focus()
    expect(row.locator("progress")).to_have_attribute("value", "41")
    running.update(done=48)
    expect(row.locator("progress")).to_have_attribute("value", "80")
    expect(log).to_be_focused()
    watch.check()
