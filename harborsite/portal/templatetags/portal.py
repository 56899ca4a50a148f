"""How values are written for people: sizes, times, digests, badges, lines to copy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, RadioSelect
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from projects.models import Label
from projects.permissions import Role

register = template.Library()

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_NOTHING = (">–</td>", '"></td>')


@register.filter
def binary_size(size: int | None) -> str:
    """`12.4 MiB`; whole numbers below 1 KiB and from 100 on."""
    value, unit = float(size or 0), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    places = 0 if unit == 0 or value >= 100 else 1
    return f"{number_format(value, places)} {_UNITS[unit]}"


@register.filter
def moment(when: datetime | None) -> SafeString | str:
    """A time that the browser rewrites to the reader's own zone; UTC without script."""
    if when is None:
        return ""
    utc = when.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{} UTC</time>', utc.isoformat(timespec="seconds"), date_format(utc, "Y-m-d H:i")
    )


@register.filter
def short_digest(digest: str) -> str:
    """The first fifteen characters, as Harbor shows them."""
    return digest[:15]


@register.filter
def pretty_json(text: str) -> str:
    """JSON over several lines; what is none stays as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


@register.filter
def titled(cells: Iterable[SafeString], headers: Iterable[dict[str, Any]]) -> Iterator[SafeString]:
    """Cells of a row that say in which column they stand, for screens too narrow for columns."""
    for cell, header in zip(cells, headers, strict=True):
        named = cell.startswith("<td") and "action-checkbox" not in cell and not cell.endswith(_NOTHING)
        title = format_html('<td data-title="{}"', capfirst(header["text"])) if named else ""
        yield SafeString(cell.replace("<td", title, 1)) if title else cell


def unfolding(number: int, called: str, *, rows: str, page: str) -> SafeString:
    """So many things that `rows` brings below the row of a list, or without script `page` shows."""
    return format_html(
        '<a class="unfold" href="{}" hx-get="{}" hx-target="closest tr" hx-swap="afterend" aria-expanded="false"'
        ' aria-label="{}">{}</a>',
        page,
        rows,
        called,
        number,
    )


@register.inclusion_tag("portal/copyable.html")
def copyable(text: str, label: str = "") -> dict[str, str]:
    """A line of shell with a button that copies it."""
    return {"text": text, "label": label}


@register.filter
def is_choice(field: BoundField) -> bool:
    """Whether the label stands behind the control."""
    return isinstance(field.field.widget, CheckboxInput) and not isinstance(field.field.widget, RadioSelect)


@register.simple_tag
def role_name(role: int) -> str:
    """What people call a role."""
    return str(Role(role).label)


LABEL_COLORS = ("0065ab", "00837a", "3c8500", "8a6100", "b34700", "c92100", "9b32c8", "565656")


@register.simple_tag
def label_chip(label: Label) -> SafeString:
    """A label in its colour, by a class of ours: styles in the page are not allowed."""
    asked = label.color.lstrip("#").lower()
    color = asked if asked in LABEL_COLORS else LABEL_COLORS[0]
    return format_html('<span class="label label-{}">{}</span>', color, label.name)
