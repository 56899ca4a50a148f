"""How forms behave in a real browser."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Dialog, expect
from pytest_django.live_server_helper import LiveServer

from harborsite.jobs import runner
from harborsite.jobs.models import Task, Trigger
from projects.models import Robot, WebhookPolicy
from projects.permissions import GRANTABLE_PROJECT
from tests.factories import make_user
from tests.portal.browsing import Watched, watched
from tests.portal.sample import make_registry
from tests.portal.screenshots import sign_in, visit
from tests.receiver import receiving
from tests.test_outbound import LOOPBACK, allow

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def watch(browser: Browser, live_server: LiveServer) -> Watched:
    """An administrator's page, of a registry with something in it."""
    make_registry()
    watch = watched(browser, live_server, "en", 1440, "light")
    sign_in(watch.page, live_server.url, "admin")
    return watch


def test_a_webhook_is_tried_and_the_page_follows_the_delivery(watch: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, *LOOPBACK)
    page = watch.page
    with receiving() as receiver:
        policy = WebhookPolicy.objects.get(name="continuous-delivery")
        policy.targets[0]["address"] = receiver.url
        policy.save()
        visit(page, f"{watch.address}/projects/web-shop/webhooks/?q=continuous#first")
        page.get_by_role("link", name="Send a test").click()
        page.get_by_label("Artifact deleted").check()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("The test is being delivered.")).to_be_visible()
        runner.run(Task.objects.get(execution__trigger=Trigger.MANUAL, execution__vendor_id=policy.pk).pk)
        expect(page.locator("#result_list .badge", has_text="Success")).to_be_visible()
        assert receiver.json()["type"] == "DELETE_ARTIFACT"
    watch.check()


def test_names_are_offered_while_a_member_is_typed(watch: Watched) -> None:
    for name in ("zoe", "zora", "zack"):
        make_user(name)
    page = watch.page
    page.goto(f"{watch.address}/projects/web-shop/members/new/")
    box, offered = page.get_by_role("combobox", name="User name"), page.locator("#suggestions option")
    box.press_sequentially("zo")
    expect(offered).to_have_count(2)
    assert [option.get_attribute("value") for option in offered.all()] == ["zoe", "zora"]
    box.press_sequentially("r")
    expect(offered).to_have_count(1)
    box.press_sequentially("a")
    page.get_by_role("button", name="Add member").click()
    expect(page.get_by_text("The member has been added.")).to_be_visible()
    watch.check()


def test_a_name_is_judged_while_it_is_typed(watch: Watched) -> None:
    """What is wrong stands beside the field, is read out, and goes when the name is good; nothing else is sent."""
    page = watch.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.goto(f"{watch.address}/users/new/")
    name, said = page.get_by_label("User name"), page.locator("#id_username_error")
    page.get_by_label("New password", exact=True).fill("canary-77")
    name.press_sequentially("mei")
    expect(said).to_have_text("The user name mei is taken.")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description("The user name mei is taken.")
    expect(name).to_be_focused()
    name.press_sequentially("-2")
    expect(said).to_be_empty()
    expect(name).not_to_have_attribute("aria-invalid", "true")
    assert "canary" not in "".join(sent)
    page.goto(f"{watch.address}/new-project/")
    page.get_by_label("Project name").press_sequentially("Web")
    expect(page.locator("#id_name_error")).not_to_be_empty()
    watch.check()


def test_a_form_is_saved_once_something_has_changed_and_asks_before_that_is_lost(watch: Watched) -> None:
    page = watch.page
    page.goto(f"{watch.address}/account/")
    save, name = page.get_by_role("button", name="Save"), page.get_by_label("Full name")
    expect(save).to_be_disabled()
    name.fill("Someone else")
    expect(save).to_be_enabled()
    name.fill("Administrator")
    expect(save).to_be_disabled()
    page.get_by_role("link", name="Logs", exact=True).click()
    page.wait_for_url("**/logs/")

    page.goto(f"{watch.address}/labels/new/")
    page.get_by_label("Name", exact=True).fill("half-done")
    question = page.get_by_role("dialog", name="Discard what you have entered?")
    page.get_by_role("link", name="Cancel").click()
    expect(question.get_by_role("button", name="Keep editing")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    page.get_by_role("link", name="Logs", exact=True).click()
    question.get_by_role("button", name="Keep editing").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("half-done")
    page.get_by_role("link", name="Cancel").click()
    question.get_by_role("button", name="Discard").click()
    page.wait_for_url("**/labels/")
    watch.check()


def test_the_browser_asks_before_it_leaves_a_form_and_not_when_it_is_sent(watch: Watched) -> None:
    page = watch.page
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.goto(f"{watch.address}/labels/new/")
    page.on("dialog", stay)
    page.get_by_label("Name", exact=True).fill("half-done")
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", name="New label")).to_be_visible()
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The label has been saved.")).to_be_visible()
    assert len(asked) == 1
    watch.check()


def test_what_was_refused_is_still_unsaved(watch: Watched) -> None:
    """The page that shows the refusal holds what was entered, as if it had been typed there."""
    page = watch.page
    page.goto(f"{watch.address}/users/new/")
    page.get_by_label("User name").fill("grace")
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password again").fill("short")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Create user")).to_be_enabled()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    watch.check()


def test_what_begins_something_needs_no_change_and_asks_nothing(watch: Watched) -> None:
    """So it is where a form's suggestion is good as it stands."""
    page = watch.page
    page.goto(f"{watch.address}/projects/web-shop/policy/immutable/new/")
    expect(page.get_by_role("button", name="Save")).to_be_enabled()
    visit(page, f"{watch.address}/projects/web-shop/webhooks/?q=continuous#firsttest/")
    page.get_by_label("Artifact deleted").check()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name="continuous-delivery")).to_be_visible()
    watch.check()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_question_is_in_the_language_of_the_page(browser: Browser, live_server: LiveServer, theme: str) -> None:
    make_registry()
    watch = watched(browser, live_server, "zh-hans", 390, theme, bypass_csp=True)
    page = watch.page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/labels/new/")
    page.get_by_label("名称", exact=True).fill("半成品")
    page.get_by_role("link", name="取消").click()
    expect(page.get_by_role("button", name="继续编辑")).to_be_visible()
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    assert page.evaluate("axe.run()")["violations"] == []
    page.get_by_role("button", name="放弃").click()
    page.wait_for_url("**/labels/")
    watch.check()


def test_forms_without_script_are_sent_as_ever(browser: Browser, live_server: LiveServer) -> None:
    make_registry()
    page = watched(browser, live_server, "en", 1440, "light", java_script_enabled=False).page
    sign_in(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/account/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your profile has been saved.")).to_be_visible()
    page.goto(f"{live_server.url}/new-project/")
    page.get_by_label("Project name").fill("web-shop")
    page.get_by_role("button", name="Create project").click()
    expect(page.locator("#id_name_error")).to_have_text("The project named web-shop already exists")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/projects/")


def test_columns_are_hidden_by_keyboard_and_stay_so(watch: Watched) -> None:
    page = watch.page
    page.goto(f"{watch.address}/projects/web-shop/members/")
    since = page.get_by_role("columnheader", name="Member since")
    expect(since).to_be_visible()
    page.locator("summary", has_text="Columns").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Member since").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(since).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Role")).to_be_visible()
    page.reload()
    expect(page.get_by_role("columnheader", name="Role")).to_be_visible()
    expect(since).to_have_count(0)
    watch.check()


def test_a_row_unfolds_and_folds_by_keyboard(watch: Watched) -> None:
    page = watch.page
    page.goto(f"{watch.address}/projects/web-shop/repositories/storefront/")
    link = page.get_by_role("link", name="2 accessories")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("tr.unfolded").get_by_text("signature.notation")).to_be_visible()
    expect(link).to_have_attribute("aria-expanded", "true")
    expect(link).to_be_focused()
    expect(page.locator("tr.unfolded time").first).not_to_contain_text("UTC")
    page.keyboard.press("Enter")
    expect(page.locator("tr.unfolded")).to_have_count(0)
    expect(link).to_have_attribute("aria-expanded", "false")
    watch.check()


def test_a_run_unfolds_to_its_tasks_and_stays_so_while_the_list_looks_again(watch: Watched) -> None:
    page = watch.page
    visit(page, f"{watch.address}/replications/?q=shop-to-branch#first")
    page.locator("a.unfold").first.click()
    below = page.locator("tr.unfolded")
    expect(below.get_by_role("columnheader", name="Source", exact=True)).to_be_visible()
    expect(below.get_by_text("payments/gateway").first).to_be_visible()
    assert not page.evaluate(
        """() => document.body.dispatchEvent(new CustomEvent("htmx:beforeRequest", {
            bubbles: true, cancelable: true,
            detail: { elt: document.body, requestConfig: { headers: { "X-Background": "1" } } },
        }))"""
    ), "it does not look again by itself"
    page.locator("a.unfold").first.click()
    expect(below).to_have_count(0)
    watch.check()


def test_cards_and_the_size_of_a_page_stay_as_they_were_chosen(watch: Watched) -> None:
    page = watch.page
    page.goto(f"{watch.address}/projects/web-shop/repositories/")
    page.get_by_role("button", name="Cards").click()
    expect(page.locator(".of-rows .card")).not_to_have_count(0)
    page.get_by_role("button", name="50", exact=True).click()
    expect(page.get_by_role("button", name="50", exact=True)).to_have_attribute("aria-current", "true")
    page.goto(f"{watch.address}/projects/web-shop/repositories/")
    expect(page.locator(".of-rows .card")).not_to_have_count(0)
    page.locator(".of-rows").get_by_role("checkbox").first.check()
    expect(page.get_by_role("button", name="Delete")).to_be_enabled()
    page.get_by_role("button", name="List").click()
    expect(page.locator("#result_list")).to_be_visible()
    expect(page.get_by_role("button", name="50", exact=True)).to_have_attribute("aria-current", "true")
    watch.check()


def test_a_password_is_shown_to_who_wants_to_see_it(browser: Browser, live_server: LiveServer) -> None:
    watch = watched(browser, live_server, "en", 390, "light")
    watch.page.goto(f"{live_server.url}/login/")
    password = watch.page.locator("input[name=password]")
    expect(password).to_have_attribute("type", "password")
    watch.page.get_by_label("Show the password").check()
    expect(password).to_have_attribute("type", "text")
    watch.page.get_by_label("Show the password").uncheck()
    expect(password).to_have_attribute("type", "password")
    watch.check()


def test_a_robot_gets_all_rights_at_once_and_its_secret_as_a_file(watch: Watched) -> None:
    page = watch.page
    page.goto(f"{watch.address}/robots/new/")
    page.get_by_label("Name", exact=True).fill("copier")
    days = page.get_by_label("Days until it expires")
    days.fill("365")
    expect(page.get_by_text("It expires on")).to_be_visible()
    days.fill("")
    expect(page.get_by_text("It expires on")).to_have_count(0)
    page.get_by_label("Projects", exact=True).fill("web-shop")
    table = page.get_by_role("group", name="Rights in each of these projects")
    table.get_by_role("button", name="Select all").click()
    expect(table.locator("input:not(:checked)")).to_have_count(0)
    table.get_by_role("button", name="Select none").click()
    expect(table.locator("input:checked")).to_have_count(0)
    table.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Add projects with other rights").click()
    expect(page.get_by_label("Projects", exact=True)).to_have_count(2)
    page.get_by_role("button", name="Create robot account").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save to a file").click()
    assert download.value.suggested_filename == "robot$copier.json"
    assert json.loads(download.value.path().read_text())["name"] == "robot$copier"
    granted = Robot.objects.get(name="copier").permissions[0]
    assert len(granted["access"]) == sum(len(verbs.split()) for verbs in GRANTABLE_PROJECT.values())
    watch.check()
