"""What tests of the portal in a real browser share: pages that are watched while somebody uses them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django.live_server_helper import LiveServer


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
