"""Notices across the top of every page."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from harborsite.portal import account
from projects import params


@dataclass(frozen=True, slots=True)
class Banner:
    """One notice; `level` is info, warning or danger."""

    level: str
    text: str


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
    if message := params.get(params.BANNER_MESSAGE):
        banners.append(Banner("info", message))
    return banners
