"""Entering a number of bytes as a number and a unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from projects.models.quota import UNLIMITED

UNITS = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


class LimitFields(forms.Form):
    """A storage limit; empty for none."""

    limit = forms.IntegerField(
        label=_("Storage quota"),
        min_value=1,
        max_value=1024**2,
        required=False,
        help_text=_("Empty means without limit."),
    )
    unit = forms.ChoiceField(label=_("Unit"), choices=[(unit, unit) for unit in UNITS], initial="GiB", required=False)


def entered(data: Mapping[str, Any]) -> int:
    """The bytes that were entered, or UNLIMITED."""
    return data["limit"] * UNITS[data["unit"] or "GiB"] if data.get("limit") else UNLIMITED


def initial(limit: int) -> dict[str, Any]:
    """What the form shows for so many bytes: the largest unit that says it in whole numbers."""
    if limit == UNLIMITED:
        return {}
    unit = next((unit for unit in ("TiB", "GiB") if limit % UNITS[unit] == 0), "MiB")
    return {"limit": max(1, limit // UNITS[unit]), "unit": unit}
