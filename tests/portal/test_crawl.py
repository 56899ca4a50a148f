"""Every link of every page, followed as each role and signed out, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.test import Client

from projects.models import Project, User
from projects.permissions import Role
from tests.factories import add, make_user
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_registry
from tests.portal.test_browser_looks import NAMES

ROLES = ("admin", "project admin", "maintainer", "developer", "guest", "limited guest", "stranger", "nobody")
MOST_PAGES = 600
# One of a kind is enough where pages differ by a row, a page number, a sort order or a filter alone.
_SAME_KIND = re.compile(r"@sha256:[0-9a-f]{64}|\d+|(?<=repositories/)[^?@]+?(?=/?$|/?\?|@)|=[^&]*")
_LATIN, _CHINESE = re.compile("[A-Za-z]{2}"), re.compile("[\u4e00-\u9fff]")
_OWN_WORDS = {
    "code",
    "pre",
    "td",
    "dd",
    "dt",
    "h1",
    "option",
    "textarea",
    "summary",
    "script",
    "style",
    "title",
    "time",
}
_OWN_CLASSES = {
    "mono",
    "named",
    "about",
    "tag",
    "badge",
    "crumbs",
    "description",
    "labels",
    "label",
    "count",
    "markdown",
    "chosen-rows",
}
_VOID = {"input", "img", "br", "link", "meta", "hr", "path", "circle", "rect"}


class Page(HTMLParser):
    """The links of a page, and the texts on it that are ours: not what people named, not code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.texts: list[str] = []
        self._own: list[bool] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        classes = set((given.get("class") or "").split())
        own = tag in _OWN_WORDS or given.get("lang") == "en" or bool(classes & _OWN_CLASSES)
        row_name = tag == "th" and given.get("scope") != "col"
        if tag not in _VOID:
            self._own.append(own or row_name or any(self._own[-1:]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and self._own:
            self._own.pop()

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if text and not any(self._own[-1:]):
            self.texts.append(text)


def crawl(client: Client, first: str) -> Iterator[tuple[str, int, Page | None]]:
    """Each kind of address once, with what it answers; downloads and the registry's own API are not followed."""
    waiting, seen = [first], {first}
    while waiting:
        address = waiting.pop()
        answer = client.get(address)
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        page = Page(answer.content.decode()) if is_page and answer.status_code == 200 else None
        yield address, answer.status_code, page
        if 300 <= answer.status_code < 400:
            links = [answer.headers["Location"]]
        else:
            links = page.links if page else []
        for link in links:
            found = urldefrag(urljoin(address, link)).url
            kind = _SAME_KIND.sub("*", found)
            elsewhere = urlsplit(found).netloc or found.startswith(("/api/", "mailto:"))
            if elsewhere or found.count("=") > 1 or kind in seen:  # filters that are combined bring nothing new
                continue
            seen.add(kind)
            waiting.append(found)
        assert len(seen) < MOST_PAGES, "the crawl does not end"


@pytest.fixture
def crowd(db: None) -> dict[str, User | None]:
    """The registry of the pictures, with one person in each role of its largest project."""
    found: dict[str, User | None] = {"admin": make_registry(), "stranger": make_user("stranger"), "nobody": None}
    shop = Project.objects.get(name="web-shop")
    for name, role in zip(ROLES[1:6], Role, strict=False):
        person = found[name] = make_user(name.replace(" ", "-"))
        add(shop, person, role)
    return found


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("role", ROLES)
def test_no_link_is_broken_and_no_text_untranslated(
    role: str, language: str, crowd: dict[str, User | None], signed_in: SignedIn
) -> None:
    client = signed_in(crowd[role])
    client.cookies["django_language"] = language
    wrong, visited = [], 0
    for address, status, page in crawl(client, "/"):
        visited += 1
        if status not in {200, 302}:
            wrong.append(f"{address}: {status}")
        if page and language == "zh-hans":
            left = {
                t
                for t in page.texts
                if _LATIN.search(t) and not _CHINESE.search(t) and t not in NAMES and not t.startswith("robot$")
            }
            wrong += [f"{address}: not Chinese: {text}" for text in sorted(left)]
    assert not wrong, "\n".join(wrong)
    assert visited > 10
