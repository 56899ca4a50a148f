"""Lists that another registry gives page by page, read without believing that they have an end or a shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from django.utils.translation import gettext as _

from harborsite.outbound import Response
from replication.errors import UnfitContent

MAX_PAGES = 10_000  # of one list; a million names where a page has a hundred
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r'(?i);\s*rel\s*=\s*"?next"?\s*(?:[;,]|$)')


def pages(ask: Callable[[str], Response], first: str) -> Iterator[Any]:
    """What each page says; `ask` sends the request for one."""
    url = first
    for _number in range(MAX_PAGES):
        with ask(url) as answer:
            page = answer.json()
            following = next_page(answer)
        yield page
        if following is None:
            return
        if following == url:
            break
        url = following
    raise endless(first)


def next_page(answer: Response) -> str | None:
    """The address in the Link header, always on the server that was asked: a proxy may get its own name wrong.

    Some write the query of a Link unescaped.
    """
    for place, parameters in _LINK.findall(answer.headers.get("Link", "")):
        if not _NEXT.search(parameters):
            continue
        here = urlsplit(answer.url)
        try:
            following = urlsplit(urljoin(answer.url, place))
        except ValueError:
            raise no_list(answer.url) from None
        there = urlunsplit((here.scheme, here.netloc, following.path, following.query, ""))
        return quote(there, safe=":/?&=%,+~@!$'()*;[]-._")
    return None


def entries(page: object, key: str, url: str) -> list[Any]:
    """What a page lists under `key`; Go's registries say null for an empty list."""
    found = page.get(key) if isinstance(page, dict) else page
    if not isinstance(page, dict) or not isinstance(found, list | None):
        raise no_list(url)
    return found or []


def no_list(url: str) -> UnfitContent:
    return UnfitContent(_("{url} does not answer with a list").format(url=url.partition("?")[0]))


def endless(url: str) -> UnfitContent:
    return UnfitContent(_("the list at {url} never ends").format(url=url.partition("?")[0]))
