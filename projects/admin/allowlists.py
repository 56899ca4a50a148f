"""Lists of vulnerabilities that do not count: how they are entered, and the system's page."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.navigation import Link
from harborsite.portal.pages import administrators_only, form_page
from projects.models import CVEAllowlist
from projects.services import allowlists

if TYPE_CHECKING:
    from harborsite.portal.site import PortalSite

NEEDS_A_SCANNER = gettext_lazy(
    "Takes effect only with a scanner at work. Nothing is scanned here yet, so it changes nothing today."
)
_BETWEEN = re.compile(r"[\s,;]+")


class AllowlistFields(forms.Form):
    """Identifiers, and the last day on which they are let pass."""

    items = forms.CharField(
        label=gettext_lazy("Vulnerabilities"),
        required=False,
        widget=forms.Textarea({"rows": 6, "class": "mono", "spellcheck": "false", "placeholder": "CVE-2026-12345"}),
        help_text=gettext_lazy("Identifiers on lines of their own or with commas between."),
    )
    last_day = forms.DateField(
        label=gettext_lazy("Expires after"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=gettext_lazy("The last day (UTC) on which the list counts. Empty: it never expires."),
    )


def identifiers(text: str) -> list[str]:
    """As the service wants them; one that is entered twice counts once."""
    return list(dict.fromkeys(filter(None, _BETWEEN.split(text))))


def initial(kept: CVEAllowlist | None) -> dict[str, Any]:
    return {"items": "\n".join(kept.items), "last_day": _last_day(kept.expires_at)} if kept else {}


def change(form: AllowlistFields, **whose: Any) -> None:
    """Keep what was entered, if it is something else than what is kept; `whose` are `project` and `actor`."""
    kept = of(whose["project"])
    items, day = identifiers(form.cleaned_data["items"]), form.cleaned_data["last_day"]
    expires_at = kept.expires_at if kept else None
    if day != _last_day(expires_at):  # another time of that day is kept, as the form shows none
        expires_at = int(datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()) if day else None
    if items != (kept.items if kept else []) or expires_at != (kept.expires_at if kept else None):
        allowlists.set_allowlist(items=items, expires_at=expires_at, **whose)


def of(project: Any) -> CVEAllowlist | None:
    """The list of a project, or the system's for None."""
    return CVEAllowlist.objects.filter(project=project).first()


def _last_day(expires_at: int | None) -> date | None:
    try:
        return None if expires_at is None else datetime.fromtimestamp(expires_at - 1, UTC).date()
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return None


def settings_tabs(request: HttpRequest) -> list[Link]:
    """The pages of what is set on the system as a whole."""
    pages = ((_("System settings"), "settings"), (_("CVE allowlist"), "system_allowlist"))
    urls = [(label, reverse(f"admin:{view}")) for label, view in pages]
    return [Link(label, url, request.path == url) for label, url in urls]


def urls(site: PortalSite) -> list[URLPattern]:
    def page(request: HttpRequest) -> HttpResponse:
        return _system(site, request)

    return [path("settings/cve-allowlist/", administrators_only(site, page), name="system_allowlist")]


def _system(site: PortalSite, request: HttpRequest) -> HttpResponse:
    user = scope.signed_in(request)
    form = AllowlistFields(scope.posted(request), initial=initial(of(None)))
    return form_page(
        site,
        request,
        form,
        lambda data: change(form, project=None, actor=user),
        title=_("CVE allowlist"),
        page_tabs=settings_tabs(request),
        tabs_label=_("System settings"),
        intro=_(
            "Vulnerabilities that do not count in projects that use this list. It takes effect only with a scanner at "
            "work; nothing is scanned here yet."
        ),
        success=_("The CVE allowlist has been saved."),
        next_url=reverse("admin:system_allowlist"),
        cancel_url=None,
    )
