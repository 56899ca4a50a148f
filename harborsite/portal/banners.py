"""Notices across the top of every page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from harborsite.jobs import dashboard
from harborsite.portal import account
from harborsite.portal.scope import visitor
from projects import params

_STUCK_HOURS = 24


@dataclass(frozen=True, slots=True)
class Banner:
    """One notice; `level` is success, info, warning or danger."""

    level: str
    text: str
    link: tuple[str, str] | None = None  # what to call it, and its address


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
    if notice := _announced(params.get(params.BANNER_MESSAGE)):
        banners.append(notice)
    if visitor(request).is_superuser and dashboard.anything_waits_longer_than(timedelta(hours=_STUCK_HOURS)):
        text = _("Some jobs have waited for more than {hours} hours.").format(hours=_STUCK_HOURS)
        banners.append(Banner("warning", text, (_("Job service"), reverse("admin:job_queues"))))
    return banners


def packed(message: str) -> str:
    """`message` as Harbor keeps it in the setting: JSON with its level; empty for no banner."""
    return json.dumps({"message": message, "type": "info", "closable": False}) if message else ""


def text(setting: str) -> str:
    """The message in the setting, whether it came from here, from Harbor's portal or as bare text."""
    return str(_unpacked(setting).get("message", ""))


def _unpacked(setting: str) -> dict[str, Any]:
    try:
        found = json.loads(setting)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": setting}


def _announced(setting: str) -> Banner | None:
    """The administrators' own banner, within its dates if it has any."""
    kept = _unpacked(setting)
    today = timezone.now().date().isoformat()
    first, last = (str(kept.get(key) or "")[:10] for key in ("fromDate", "toDate"))
    if not kept.get("message") or (first and today < first) or (last and today > last):
        return None
    level = kept.get("type")
    return Banner(level if level in {"success", "warning", "danger"} else "info", str(kept["message"]))
