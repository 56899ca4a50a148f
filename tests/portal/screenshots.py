"""Pictures of the portal, from a registry of its own: `python -m tests.portal.screenshots DIRECTORY [--all]`.

Without `--all` only the pictures of the READMEs are made.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGES = {
    "projects": "/projects/",
    "new-project": "/new-project/",
    "summary": "/projects/web-shop/",
    "storage": "/projects/web-shop/storage/",
    "repositories": "/projects/web-shop/repositories/",
    "repository-cards": "/projects/web-shop/repositories/?cards=1",
    "artifacts": "/projects/web-shop/repositories/storefront/",
    "artifact": "/projects/web-shop/repositories/storefront/#first",
    "copy": "/projects/web-shop/repositories/storefront/#firstcopy/",
    "delete-artifact": "/projects/web-shop/repositories/storefront/#firstdelete/",
    "add-tag": "/projects/web-shop/repositories/storefront/#firsttag/",
    "description": "/projects/web-shop/repositories/storefront/-/description/",
    "members": "/projects/web-shop/members/",
    "new-member": "/projects/web-shop/members/new/",
    "new-group-member": "/projects/web-shop/members/group/",
    "project-labels": "/projects/web-shop/labels/",
    "project-robots": "/projects/web-shop/robots/",
    "project-robot": "/projects/web-shop/robots/#first",
    "new-project-robot": "/projects/web-shop/robots/new/",
    "webhooks": "/projects/web-shop/webhooks/",
    "webhook": "/projects/web-shop/webhooks/?q=continuous#first",
    "edit-webhook": "/projects/web-shop/webhooks/?q=continuous#firstedit/",
    "test-webhook": "/projects/web-shop/webhooks/?q=continuous#firsttest/",
    "webhook-run": "/projects/web-shop/webhooks/?q=continuous#first#first",
    "webhook-run-log": "/projects/web-shop/webhooks/?q=continuous#first#first#log",
    "configuration": "/projects/web-shop/configuration/",
    "policy": "/projects/web-shop/policy/",
    "retention-schedule": "/projects/web-shop/policy/schedule/",
    "retention-run": "/projects/web-shop/policy/#first",
    "retention-run-log": "/projects/web-shop/policy/#first#log",
    "new-retention-rule": "/projects/web-shop/policy/rules/new/",
    "retention-preview": "/projects/web-shop/policy/preview/",
    "run-retention": "/projects/web-shop/policy/run/",
    "immutable-rules": "/projects/web-shop/policy/immutable/",
    "new-immutable-rule": "/projects/web-shop/policy/immutable/new/",
    "project-logs": "/projects/web-shop/logs/",
    "logs": "/logs/",
    "users": "/users/",
    "new-user": "/users/new/",
    "user-password": "/users/#first",
    "robots": "/robots/",
    "robot-secret": "/robots/#firstsecret/",
    "new-robot": "/robots/new/",
    "groups": "/groups/",
    "new-group": "/groups/new/",
    "group": "/groups/#first",
    "authentication": "/authentication/",
    "test-user": "/authentication/user/",
    "labels": "/labels/",
    "new-label": "/labels/new/",
    "label": "/labels/#first",
    "quotas": "/quotas/",
    "quota": "/quotas/#first",
    "default-quota": "/quotas/default/",
    "clean-up": "/clean-up/",
    "clean-up-run": "/clean-up/#first",
    "clean-up-run-log": "/clean-up/#first#log",
    "start-clean-up": "/clean-up/run/",
    "clean-up-schedule": "/clean-up/schedule/",
    "clean-up-preview": "/clean-up/preview/?delete_untagged=on",
    "footprints": "/clean-up/artifacts/web-shop/storefront/",
    "log-rotation": "/clean-up/log-rotation/",
    "log-rotation-run": "/clean-up/log-rotation/run/",
    "log-rotation-result": "/clean-up/log-rotation/#first",
    "scanners": "/scanners/",
    "new-scanner": "/scanners/new/",
    "scanner": "/scanners/?q=trivy#first",
    "project-scanner": "/projects/web-shop/scanner/",
    "storage-check": "/clean-up/storage/",
    "storage-check-run": "/clean-up/storage/run/",
    "storage-check-result": "/clean-up/storage/#first",
    "quarantine": "/clean-up/storage/quarantine/",
    "settings": "/settings/",
    "cve-allowlist": "/settings/cve-allowlist/",
    "events": "/events/",
    "event": "/events/#first",
    "event-log": "/events/#first#log",
    "registries": "/registries/",
    "registry": "/registries/#first",
    "new-registry": "/registries/new/?type=google-gcr",
    "replications": "/replications/",
    "replication": "/replications/?q=shop-to-branch#first",
    "start-replication": "/replications/?q=shop-to-branch#firststart/",
    "edit-replication": "/replications/?q=shop-to-branch#firstedit/",
    "replication-run": "/replications/?q=shop-to-branch#first#first",
    "distributions": "/distributions/",
    "new-distribution": "/distributions/new/",
    "distribution": "/distributions/?q=branch#first",
    "replication-run-log": "/replications/?q=shop-to-branch#first#first#log",
    "job-queues": "/job-service/",
    "job-schedules": "/job-service/schedules/",
    "job-workers": "/job-service/workers/",
    "stop-waiting": "/job-service/stop-waiting/",
    "search": "/search/?q=shop",
    "api": "/devcenter-api-2.0",
    "about": "/about/",
    "profile": "/account/",
    "preferences": "/account/preferences/",
    "second-factor": "/account/second-factor/",
    "password": "/account/password/",
    "missing": "/projects/nothing/",
}


@contextmanager
def running_server() -> Iterator[str]:
    """A server on a free loopback port, over a database in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="harborsite-portal-") as home:
        file = Path(home) / "harbor.cfg"
        file.write_text("hostname = registry.example.com\nhttp_port = 80\n")
        os.environ["HARBOR_CFG"] = str(file)
        os.environ["DJANGO_SETTINGS_MODULE"] = "harborsite.settings"
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright keeps an event loop in this thread
        for part in ("database", "static"):
            (Path(home) / "data" / part).mkdir(parents=True)
        from harborsite import catalogue, config, sealing

        config.current().secretkey_path.mkdir(parents=True, exist_ok=True)
        (config.current().secretkey_path / sealing.KEY_FILE).write_text("the key of these pictures")
        catalogue.compile_all(Path(home) / "data" / "translations")
        import django

        django.setup()
        from django.contrib.staticfiles.handlers import StaticFilesHandler
        from django.core.management import call_command
        from django.test.testcases import LiveServerThread
        from django.test.utils import override_settings

        from tests.portal.sample import make_registry

        call_command("migrate", verbosity=0)
        make_registry()
        plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
        with override_settings(STORAGES=plain):
            server = LiveServerThread("127.0.0.1", StaticFilesHandler)
            server.start()
            server.is_ready.wait()
            if server.error:
                raise server.error
            yield f"http://127.0.0.1:{server.port}"
            server.terminate()


def visit(page: Page, url: str) -> None:
    """Open an address; each `#first` in it means what the first row of the list leads to, `#log` its log.

    What follows is a page below that.
    """
    address, *steps = re.split(r"#(first|log)", url)
    page.goto(address)
    for step, below in zip(steps[::2], steps[1::2], strict=True):
        page.locator(_LINKS[step]).first.click()
        page.wait_for_load_state("load")
        if below:
            page.goto(page.url + below)


_LINKS = {"first": "#result_list tbody th a", "log": "#result_list tbody a[href*='/log/']"}


def sign_in(page: Page, address: str, username: str, password: str = "") -> None:
    """Through the form."""
    from tests.factories import PASSWORD

    page.goto(f"{address}/login/")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password or PASSWORD)
    page.click("main button[type=submit]")


def take(
    browser: Browser, address: str, target: Path, pages: dict[str, str], looks: list[tuple[str, int, str]]
) -> None:
    """Each page in each look: language, width, theme."""
    for language, width, theme in looks:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light"
        )
        context.add_cookies([{"name": "django_language", "value": language, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/login/")
        page.screenshot(path=target / f"sign-in-{language}-{width}-{theme}.png")
        sign_in(page, address, "admin")
        for name, path in pages.items():
            visit(page, address + path)
            page.screenshot(path=target / f"{name}-{language}-{width}-{theme}.png", full_page=True)
        context.close()


READMES = {"projects": PAGES["projects"], "artifacts": PAGES["artifacts"]}


def take_for_readmes(browser: Browser, address: str, target: Path) -> None:
    """`portal-<page>.png` in English and `portal-<page>-zh.png` in Chinese."""
    for language, ending in (("en", ""), ("zh-hans", "-zh")):
        context = browser.new_context(viewport={"width": 1200, "height": 640}, locale=language.replace("hans", "CN"))
        context.add_cookies([{"name": "django_language", "value": language, "url": address}])
        page = context.new_page()
        sign_in(page, address, "admin")
        for name, path in READMES.items():
            visit(page, address + path)
            page.screenshot(path=target / f"portal-{name}{ending}.png")
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--all", action="store_true", help="every page in each language, width and theme")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with running_server() as address:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            if arguments.all:
                looks = [(tongue, width, theme) for tongue, width in _SIZES for theme in ("light", "dark")]
                take(browser, address, arguments.directory, PAGES, looks)
            else:
                take_for_readmes(browser, address, arguments.directory)
            browser.close()


_SIZES = (("en", 1440), ("zh-hans", 1440), ("en", 390), ("zh-hans", 390))


if __name__ == "__main__":
    main()
