"""Harbor's cron: six fields, seconds first and always 0, evaluated in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError
from django.utils.translation import gettext as _

from harborsite.errors import BadRequest

FIELDS = 6
PRESETS = {"Hourly": "0 0 * * * *", "Daily": "0 0 0 * * *", "Weekly": "0 0 0 * * 0"}


def check(expression: str) -> str:
    """The expression, if it can be used; raises BadRequest."""
    parts = expression.split()
    if len(parts) != FIELDS:
        raise BadRequest(_("The cron expression {cron!r} must have 6 fields.").format(cron=expression))
    if parts[0] != "0":
        raise BadRequest(
            _("The 1st field (seconds) of the cron expression {cron!r} must be 0.").format(cron=expression)
        )
    next_time(expression, datetime.now(UTC))
    return expression


def next_time(expression: str, after: datetime) -> datetime:
    """The first moment after `after` that the expression names."""
    five = " ".join(expression.replace("?", "*").split()[1:])
    try:
        moment: datetime = next(CronSim(five, after.astimezone(UTC)))
    except (CronSimError, StopIteration):
        raise BadRequest(_("The cron expression {cron!r} names no moment.").format(cron=expression)) from None
    return moment
