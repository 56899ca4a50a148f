"""The portal's site: who may enter, where pages hang."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.gzip import gzip_page

from harborsite.portal import about, account, banners, navigation, preferences, search, second_factor
from harborsite.portal.pages import PortalAdmin

View = Callable[..., HttpResponseBase]


class PortalSite(AdminSite):
    """Everyone may come in; what they see is decided page by page from the role table."""

    site_header = site_title = "Harborsite"
    empty_value_display = "–"
    final_catch_all_view = False  # at `/` it would turn unknown API addresses into sign-in redirects

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.disable_action("delete_selected")  # QuerySet.delete() walks round the services

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active)

    def public_view(self, view: View) -> View:
        """A page for visitors as well; the view decides by object.

        Never cached: pages depend on roles. Gzipped, which is safe: tokens are masked and lengths blurred (BREACH).
        """

        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            account.end_if_idle(request)
            if account.must_change_password(request):
                return HttpResponseRedirect(reverse("admin:password_change"))
            return view(request, *args, **kwargs)

        return gzip_page(never_cache(csrf_protect(inner)))

    def member_view(self, view: View) -> View:
        """A page for people who are signed in; others are asked to sign in and come back."""
        return self.public_view(self.admin_view(view))

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Our own pages alone: the admin's automatic addresses would show more than a tab does."""
        urls: list[URLResolver | URLPattern] = [
            path("", self.public_view(self.home), name="index"),
            path("login/", account.SignInView.as_view(site=self), name="login"),
            path("login/code/", self.public_view(second_factor.enter_code), name="login_code"),
            path("sign-up/", self.public_view(account.sign_up), name="sign_up"),
            path("logout/", csrf_protect(account.sign_out), name="logout"),
            path("language/", csrf_protect(preferences.choose_language), name="language"),
            path("banner/close/", csrf_protect(banners.close), name="close_banner"),
            path("theme/", csrf_protect(preferences.choose_theme), name="theme"),
            path("account/password/", self.admin_view(account.change_password), name="password_change"),
            path("account/second-factor/", self.member_view(second_factor.page), name="second_factor"),
            path("account/preferences/", self.member_view(preferences.page), name="preferences"),
            path("account/", self.member_view(account.profile), name="profile"),
            path("about/", self.public_view(about.page), name="about"),
            path("search/", self.public_view(search.results), name="search"),
        ]
        for page in self.portal_admins:
            urls += page.get_urls()
        return urls

    @cached_property
    def portal_admins(self) -> list[PortalAdmin[Any]]:
        return [page for page in self._registry.values() if isinstance(page, PortalAdmin)]

    def home(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:projects"))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the frame around every page needs; no query beyond the visitor's own row and roles."""
        return {
            "site_title": self.site_title,
            "site_header": self.site_header,
            "has_permission": self.has_permission(request),
            "is_popup": False,
            "theme": preferences.theme_of(request),
            "time_format": preferences.time_format_of(request),
            "main_menu": navigation.main_menu(request),
            "administration_menu": navigation.administration_menu(request),
            "banners": banners.for_request(request),
        }
