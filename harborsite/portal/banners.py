"""Notices across the top of every page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from harborsite.jobs import dashboard
from harborsite.portal import account, preferences
from harborsite.portal.scope import visitor
from projects import params

LEVELS = (
    ("info", gettext_lazy("Information")),
    ("success", gettext_lazy("Success")),
    ("warning", gettext_lazy("Warning")),
    ("danger", gettext_lazy("Danger")),
)
_CLOSED_COOKIE = "harborsite_banner"
_STUCK_HOURS = 24


@dataclass(frozen=True, slots=True)
class Banner:
    """One notice; `level` is one of LEVELS."""

    level: str
    text: str
    link: tuple[str, str] | None = None  # what to call it, and its address
    closed_by: str = ""  # what a browser remembers that has closed it; empty where it stays


def for_request(request: HttpRequest) -> list[Banner]:
    """The notices that this visitor should see now."""
    banners = []
    if account.must_change_password(request):
        banners.append(
            Banner(
                "warning",
                _(
                    "This account still has the default password, which everyone knows. Until you change it, the "
                    "account works from this machine only."
                ),
            )
        )
    if params.get(params.READ_ONLY):
        banners.append(Banner("warning", _("The registry is read-only: pulls work, pushes and deletions are refused.")))
    notice = _announced(params.get(params.BANNER_MESSAGE))
    if notice and not (notice.closed_by and request.COOKIES.get(_CLOSED_COOKIE) == notice.closed_by):
        banners.append(notice)
    if visitor(request).is_superuser and dashboard.anything_waits_longer_than(timedelta(hours=_STUCK_HOURS)):
        text = _("Some jobs have waited for more than {hours} hours.").format(hours=_STUCK_HOURS)
        banners.append(Banner("warning", text, (_("Job service"), reverse("admin:job_queues"))))
    return banners


@require_POST
def close(request: HttpRequest) -> HttpResponse:
    """Show the present banner no more to this browser, until it is restarted or the banner is another one."""
    response = preferences.back(request)
    if (notice := _announced(params.get(params.BANNER_MESSAGE))) and notice.closed_by:
        response.set_cookie(_CLOSED_COOKIE, notice.closed_by, samesite="Lax", httponly=True)
    return response


def packed(
    *, message: str, level: str = "info", closable: bool = False, first: date | None = None, last: date | None = None
) -> str:
    """As Harbor keeps it in the setting: JSON; empty for no banner."""
    if not message:
        return ""
    kept: dict[str, Any] = {"message": message, "type": level, "closable": closable}
    days = (("fromDate", first), ("toDate", last))
    return json.dumps(kept | {key: day.isoformat() for key, day in days if day})


def unpacked(setting: str) -> dict[str, Any]:
    """What `packed` was given, whether the setting comes from here, from Harbor's portal or is bare text."""
    kept = _kept(setting)
    return {
        "message": str(kept.get("message", "")),
        "level": _level(kept),
        "closable": kept.get("closable") is True,
        "first": _day(kept, "fromDate"),
        "last": _day(kept, "toDate"),
    }


def _kept(setting: str) -> Mapping[str, Any]:
    try:
        found = json.loads(setting)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": setting}


def _level(kept: Mapping[str, Any]) -> str:
    level = kept.get("type")
    return str(level) if level in dict(LEVELS) else "info"


def _day(kept: Mapping[str, Any], key: str) -> date | None:
    try:
        return date.fromisoformat(str(kept.get(key) or "")[:10])
    except ValueError:
        return None


def _announced(setting: str) -> Banner | None:
    """The administrators' own banner, within its dates if it has any."""
    told, today = unpacked(setting), timezone.now().date()
    first, last = told["first"], told["last"]
    if not told["message"] or (first and today < first) or (last and today > last):
        return None
    mark = hashlib.sha256(setting.encode()).hexdigest()[:16] if told["closable"] else ""
    return Banner(told["level"], told["message"], closed_by=mark)
