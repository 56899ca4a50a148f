"""The portal's site: who may enter, where pages hang."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class PortalSite(AdminSite):
    """Everyone who can sign in may enter; what they see is decided page by page from the role table."""

    site_header = site_title = _("Harborsite")
    final_catch_all_view = False  # at `/` it would turn unknown API addresses into sign-in redirects

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active)
