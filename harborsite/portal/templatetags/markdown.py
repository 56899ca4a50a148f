"""Markdown that people wrote, as markup that can do no harm."""

from __future__ import annotations

import nh3
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST = 30_000  # characters; what is longer is shown as it is, because rendering it would hold up the page
_LOWEST = 6

_parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 40}).enable(["table", "strikethrough"])
_cleaner = nh3.Cleaner(
    tags={
        *("h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "em", "strong", "s", "a", "code", "pre", "blockquote"),
        *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
    },
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)
register = template.Library()


@register.filter
def markdown(text: str, top: int = 2) -> SafeString:
    """CommonMark with tables as HTML of a few harmless tags; pictures, which would come from elsewhere, as their text.

    `top` is the level of the first heading: the page has headings above it.
    """
    if len(text) > LONGEST:
        return format_html('<pre tabindex="0">{}</pre>', text)
    tokens = _parser.parse(text)
    _settle_headings(tokens, top)
    for token in tokens:
        for part in token.children or []:
            if part.type == "image":
                part.type, part.tag = "text", ""
    html = _parser.renderer.render(tokens, _parser.options, {})
    return mark_safe(f'<div class="markdown">{_cleaner.clean(html)}</div>')  # noqa: S308 - cleaned in this line


def _settle_headings(tokens: list[Token], top: int) -> None:
    """Let headings begin at `top` and skip no level: who reads by headings would look for what is missing."""
    level = top - 1
    for token in tokens:
        if token.type == "heading_open":
            level = min(int(token.tag[1:]) + top - 1, level + 1, _LOWEST)
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{level}"
