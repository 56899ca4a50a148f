"""Forms of the Policy tab beside those of rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from harborsite.portal import crons
from registry.policies.sweeping import Forecast


class ScheduleForm(forms.Form):
    """When the policy runs by itself."""

    period = crons.schedule_field()
    cron = crons.cron_field("period=Custom")


class RunForm(forms.Form):
    """Nothing to enter, unless the run would delete more than runs may."""

    def __init__(self, *args: Any, expected: Forecast, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if expected.too_much:
            self.fields["ignore_limit"] = forms.BooleanField(
                label=_("Delete more than {limit}%").format(limit=expected.limit),
                help_text=_("Without this the run would stop before it deletes anything."),
            )
