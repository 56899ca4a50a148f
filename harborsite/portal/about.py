"""What this is, and under which licence."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from harborsite import __version__
from harborsite.config import BASE_DIR
from harborsite.portal.scope import visitor


def page(request: HttpRequest) -> HttpResponse:
    """The version is for people with an account: to others it would only say which flaws to try."""
    context = {
        "title": _("About Harborsite"),
        "version": __version__ if visitor(request).is_authenticated else "",
        "licence": (BASE_DIR / "LICENSE").read_text(encoding="utf-8"),
    }
    return render(request, "portal/about.html", {**admin.site.each_context(request), **context})
