"""Entering when something runs again: a preset, or a cron expression of six fields in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from harborsite.jobs import cron

CUSTOM = "Custom"
PERIODS = (
    ("Hourly", _("Every hour")),
    ("Daily", _("Every day at midnight (UTC)")),
    ("Weekly", _("Every Sunday at midnight (UTC)")),
    (CUSTOM, _("By a cron expression")),
)


NEVER = "None"


def schedule_field() -> forms.ChoiceField:
    """Which preset, `Custom`, or never."""
    return forms.ChoiceField(label=_("Schedule"), choices=[(NEVER, _("Not scheduled")), *PERIODS], initial=NEVER)


def period_field() -> forms.ChoiceField:
    """Which preset, or `Custom`."""
    return forms.ChoiceField(label=_("How often"), choices=PERIODS, initial="Daily", required=False)


def cron_field(when: str) -> forms.CharField:
    """The expression of `Custom`; shown while the field named in `when` (`name=value`) says so."""
    attrs = {"class": "mono", "spellcheck": "false", "placeholder": "0 30 2 * * *", "data-when": when}
    return forms.CharField(
        label=_("Cron expression"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs=attrs),
        help_text=_("Second (always 0), minute, hour, day, month, weekday; in UTC. 0 30 2 * * * is every day at 2:30."),
    )


def entered(data: Mapping[str, Any], period: str = "period", expression: str = "cron") -> str:
    """The expression that was chosen or typed."""
    preset = cron.PRESETS.get(data.get(period) or CUSTOM)
    return preset or str(data.get(expression) or "").strip()


def initial(expression: str) -> dict[str, str]:
    """What the fields show for an expression."""
    preset = next((name for name, preset in cron.PRESETS.items() if preset == expression), CUSTOM)
    return {"period": preset, "cron": expression}


def shown(expression: str) -> str:
    """For people: the preset, where it is one, and the expression."""
    period = initial(expression)["period"]
    preset = "" if period == CUSTOM else dict(PERIODS)[period]
    return format_html('{} <span class="mono">{}</span>', preset, expression)
