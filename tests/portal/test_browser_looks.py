"""Every page of the portal in every look, in a real browser: each language, width and theme, with axe-core on each."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import pyotp
import pytest
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from projects.identity import second_factor
from projects.models import User
from projects.services.settings import change_settings
from replication.admin.registries import PROVIDERS
from replication.preheat.admin import VENDORS
from tests.portal.browsing import watched
from tests.portal.sample import make_registry
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
# What passes is not described: that is most of its time.
RUN_AXE = """axe.run({resultTypes: ["violations"], selectors: false})"""
WIDER_TABLES = (
    """Math.max(0, ...[...document.querySelectorAll(".table-box")].map((box) => box.scrollWidth - box.clientWidth))"""
)
WIDTHS = (390, 1440)  # the narrow one first: dates are written once, and shorter there
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIGNED_OUT = {"sign-in": "/login/", "sign-up": "/sign-up/", "public-projects": "/projects/"}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_in_every_look(browser: Browser, live_server: LiveServer, language: str) -> None:
    """No axe violation, no complaint on the console, no sideways scroll, nothing left in English on a Chinese page.

    A page is opened once for each language; width and colours change in place, as they do when somebody turns the
    telephone or the evening comes.
    """
    admin = make_registry()
    change_settings(values={"self_registration": True}, actor=admin)
    tom, secret = User.objects.get(username="tom"), second_factor.new_secret()
    second_factor.switch_on(user=tom, secret=secret, code=pyotp.TOTP(secret).now())
    # Nothing moves: axe would see colours on their way.
    still = {"reduced_motion": "reduce", "bypass_csp": True}
    watch = watched(browser, live_server, language, WIDTHS[0], THEMES[0], **still)
    page, found = watch.page, []
    for name, path in SIGNED_OUT.items():
        page.goto(live_server.url + path)
        found += faults(page, language, name)
    sign_in(page, live_server.url, tom.username)
    found += faults(page, language, "code")
    sign_in(page, live_server.url, admin.username)
    for name, path in PAGES.items():
        visit(page, live_server.url + path)
        found += faults(page, language, name)
    watch.check()
    page.context.close()
    assert not found, "\n".join(found)


def faults(page: Page, language: str, name: str) -> list[str]:
    """What is wrong with this page in any width and theme; it comes and is left in the first of each."""
    found: list[str] = []
    page.evaluate(AXE)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            wrong = [f"{rule['id']} {rule['nodes'][0]['html']}" for rule in page.evaluate(RUN_AXE)["violations"]]
            sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if sideways > 0:
                wrong.append(f"scrolls sideways by {sideways}px")
            if table := page.evaluate(WIDER_TABLES):
                wrong.append(f"tables wider than their place by {table}px")
            found += [f"{name} {language} {width} {theme}: {fault}" for fault in wrong]
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.emulate_media(color_scheme=THEMES[0])
    if language == "zh-hans":
        found += [f"{name}: not Chinese: {text}" for text in page.evaluate(LATIN_TEXTS) if not _is_name(text)]
    return found


def _is_name(text: str) -> bool:
    return text in NAMES or text.startswith("robot$")


# Visible text and labels without any Chinese in them, outside of what people named themselves.
LATIN_TEXTS = r"""() => {
  const own = ".mono, code, pre, .tag, .badge, td, tbody th, dd, dt, .crumbs, h1, .menu > summary"
    + ", .description, .named, .about, .labels, select[name=label], #id_registry, #id_scanner, textarea, [lang=en]";
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
TERMS = ("API v2.0", "REST API", "DN", "swagger.json", "OS/ARCH", "Tag", "Webhook", "SBOM", "MiB", "GiB", "TiB")
WEBHOOKS = ("HTTP", "Slack", "CloudEvents", "https://ci.example.com/hooks")
NAMES = frozenset(
    (
        *PRODUCTS,
        *PROVIDERS.values(),
        *VENDORS.values(),
        *TERMS,
        *WEBHOOKS,
        "English",
        "https://registry.example.com",
        "cn=staff,dc=example",
    )
)
