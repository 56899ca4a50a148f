"""What a page costs a browser that comes for the first time, on a telephone, with every list full of long names."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import Browser, Response
from pytest_django.live_server_helper import LiveServer

from tests.portal.browsing import watched
from tests.portal.crowd import make_crowd
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MOST_REQUESTS = 20
MOST_BYTES = 60 * 1024  # gzipped, with styles and scripts


def test_every_page_is_light_and_fits_when_all_lists_are_full(browser: Browser, live_server: LiveServer) -> None:
    make_crowd()
    watch = watched(browser, live_server, "zh-hans", 390, "light")
    page, answers, wrong = watch.page, list[Response](), []
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    sign_in(page, live_server.url, "admin")
    page.on("response", lambda answer: answers.append(answer))
    for name, path in PAGES.items():
        visit(page, live_server.url + path)
        address = page.url
        page.goto("about:blank")  # so that nothing of the page before is on its way
        answers.clear()
        page.goto(address)
        size = sum(len(gzip.compress(answer.body())) for answer in answers)
        if len(answers) > MOST_REQUESTS or size > MOST_BYTES:
            wrong.append(f"{name}: {len(answers)} requests, {size:,} bytes")
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if sideways > 0:
            wrong.append(f"{name}: a long name scrolls the page sideways by {sideways}px")
    assert not wrong, "\n".join(wrong)
    watch.check()
