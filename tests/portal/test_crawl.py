"""Every link of every page, followed as each role and signed out, in both languages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from projects.models import User
from tests.portal.addresses import RUNS, names
from tests.portal.conftest import SignedIn
from tests.portal.test_access import EVERYONE
from tests.portal.test_browser_looks import NAMES

MOST_PAGES = 600
# Of these some have runs and others none, or have ended; of everything else one is enough.
SEVERAL, MOST_OF_A_KIND = re.compile(r"/(webhooks|replications|events|clean-up/storage)/\*/$"), 4
# One of a kind is enough where pages differ by a row, a page number, a sort order or a filter alone.
_SAME_KIND = re.compile(r"@sha256:[0-9a-f]{64}|\d+|(?<=repositories/)[^?@]+?(?=/?$|/?\?|@|/-/)|=[^&]*")
# Pages that an administrator finds no link to and no form for, each with the reason.
NOT_LINKED = {
    "login": "for visitors",
    "login_code": "for visitors",
    "sign_up": "for visitors, where it is open",
    "close_banner": "where there is a banner",
    "groups": "where there is a directory",
    "new_group": "where there is a directory",
    "group": "where there is a directory",
    "new_group_member": "where there is a directory",
    "member_candidates": "asked for by a form while somebody types",
    "accessories": "rows that a script unfolds",
    **{f"{run}_tasks": "rows that a script unfolds" for run in RUNS},
    "unlabel": "where an artifact bears a label",
    "stop_check_run": "while one runs",
    "stop_purge_run": "while one runs",
    "stop_webhook_run": "while one runs",
}
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
        self.forms: list[str] = []
        self.texts: list[str] = []
        self._own: list[bool] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "form" or "formaction" in given:
            self.forms.append(given.get("formaction") or given.get("action") or "")
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
    waiting, seen, kinds = [first], {first}, Counter[str]()
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
            enough = kinds[kind] >= (MOST_OF_A_KIND if SEVERAL.search(kind) else 1)
            if elsewhere or found in seen or found.count("=") > 1 or enough:  # combined filters bring nothing new
                continue
            kinds[kind] += 1
            seen.add(found)
            waiting.append(found)
        assert len(seen) < MOST_PAGES, "the crawl does not end"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("role", EVERYONE)
def test_no_link_is_broken_and_no_text_untranslated(
    role: str, language: str, crowd: dict[str, User | None], signed_in: SignedIn
) -> None:
    client = signed_in(crowd[role])
    client.cookies["django_language"] = language
    wrong, reached = [], set[str]()
    for address, status, page in crawl(client, "/"):
        reached |= {_name(address), *(_name(urljoin(address, target)) for target in (page.forms if page else ()))}
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
    if role == "admin":
        assert names().keys() - reached == NOT_LINKED.keys()
    else:
        assert {"projects", "about"} <= reached


def _name(address: str) -> str:
    """What the page is called; nothing for what is not the portal's."""
    try:
        return resolve(urlsplit(address).path).url_name or ""
    except Resolver404:
        return ""
