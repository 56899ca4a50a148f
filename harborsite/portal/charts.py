"""Charts drawn on the server as SVG: no script, and the table beside a chart says the same in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_RADIUS, _WIDTH = 40, 18
_AROUND = 2 * pi * _RADIUS
_ARC = (
    '<circle cx="50" cy="50" r="{}" fill="none" stroke-width="{}" class="part-{}" stroke-dasharray="{}" '
    'stroke-dashoffset="{}"/>'
)
COLOURS = 6  # of the stylesheet: .part-0 …


@dataclass(frozen=True, slots=True)
class Part:
    """One share of a whole. The number picks the colour, in the chart and in its table."""

    number: int
    label: str
    value: int
    percent: float


def parts(values: Sequence[tuple[str, int]]) -> list[Part]:
    """Shares in the order given; negative ones count as nothing."""
    whole = sum(max(0, value) for _label, value in values) or 1
    return [
        Part(number % COLOURS, label, max(0, value), 100 * max(0, value) / whole)
        for number, (label, value) in enumerate(values)
    ]


def donut(shares: Sequence[Part], title: str) -> SafeString:
    """A ring, from the top clockwise; `title` is read out in its place."""
    done, arcs = 0.0, []
    for share in shares:
        length = share.percent / 100 * _AROUND
        arcs.append((_RADIUS, _WIDTH, share.number, f"{length:.2f} {_AROUND - length:.2f}", f"{-done:.2f}"))
        done += length
    rings = format_html_join("", _ARC, arcs)
    return format_html(
        '<svg class="donut" viewBox="0 0 100 100" role="img" aria-label="{}"><g transform="rotate(-90 50 50)">'
        '<circle cx="50" cy="50" r="{}" fill="none" stroke-width="{}" class="rest"/>{}</g></svg>',
        title,
        _RADIUS,
        _WIDTH,
        rings,
    )


def bar(percent: float) -> SafeString:
    """One horizontal bar for a cell of a table; the number stands beside it."""
    width = max(0.0, min(100.0, percent))
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="100" height="8" class="rest"/><rect width="{}" height="8" class="part-0"/></svg>',
        f"{width:.1f}",
    )
