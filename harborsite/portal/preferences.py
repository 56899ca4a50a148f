"""How one wants to see the portal: kept with the account, and as cookies for who is not signed in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext_lazy, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from harborsite.portal.scope import posted, signed_in
from projects.models import User
from projects.models.user import PullClient, Theme, TimeFormat
from projects.services import preferences

THEME_COOKIE = "harborsite_theme"
_A_YEAR = 365 * 24 * 3600


class PreferencesForm(forms.Form):
    """Everything that is only about looks."""

    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    theme = forms.ChoiceField(label=gettext_lazy("Colours"), choices=Theme.choices, required=False)
    time_format = forms.ChoiceField(
        label=gettext_lazy("Times"),
        choices=TimeFormat.choices,
        required=False,
        help_text=gettext_lazy("Always in the time zone of your browser."),
    )
    pull_client = forms.ChoiceField(
        label=gettext_lazy("Pull command"),
        choices=[*PullClient.choices, ("", gettext_lazy("Another one"))],
        required=False,
        help_text=gettext_lazy("The line of this client comes first wherever an image can be pulled."),
    )
    other_client = forms.RegexField(
        r"\A[a-z]{2,32}\Z",
        label=gettext_lazy("Name of the client"),
        required=False,
        help_text=gettext_lazy("2 to 32 lower-case letters, as in buildah."),
        error_messages={"invalid": gettext_lazy("2 to 32 lower-case letters, as in buildah.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "data-when": "pull_client="}),
    )

    def clean(self) -> dict[str, Any]:
        """`pull_client` says it all afterwards."""
        chosen = super().clean() or {}
        other = chosen.pop("other_client", "")
        if not chosen.get("pull_client", PullClient.DOCKER):
            chosen["pull_client"] = other
            if not other and "other_client" not in self.errors:
                self.add_error("other_client", self.fields["other_client"].error_messages["required"])
        return chosen


def theme_of(request: HttpRequest) -> str:
    """`light`, `dark`, or nothing: as the system has it."""
    chosen = request.user.theme if isinstance(request.user, User) else request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in Theme.values else ""


def time_format_of(request: HttpRequest) -> str:
    return request.user.time_format if isinstance(request.user, User) else ""


def pull_client(request: HttpRequest) -> str:
    return request.user.pull_client if isinstance(request.user, User) else PullClient.DOCKER.value


def take_along(response: HttpResponse, user: User) -> None:
    """After signing in, the browser remembers what the account prefers."""
    if user.language:
        _set_cookie(response, settings.LANGUAGE_COOKIE_NAME, user.language)
    if user.theme:
        _set_cookie(response, THEME_COOKIE, user.theme)


def _set_cookie(response: HttpResponse, name: str, value: str) -> None:
    if value:
        response.set_cookie(name, value, max_age=_A_YEAR, samesite="Lax", httponly=True)
    else:
        response.delete_cookie(name, samesite="Lax")


def _keep(request: HttpRequest, response: HttpResponse, **chosen: str) -> HttpResponse:
    if isinstance(request.user, User):
        preferences.keep(user=request.user, **chosen)
    if "language" in chosen:
        _set_cookie(response, settings.LANGUAGE_COOKIE_NAME, chosen["language"])
    if "theme" in chosen:
        _set_cookie(response, THEME_COOKIE, chosen["theme"])
    return response


def back(request: HttpRequest) -> HttpResponse:
    """To the page whose form says where it is."""
    target = request.POST.get(REDIRECT_FIELD_NAME, "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        target = reverse("admin:index")
    return HttpResponseRedirect(target)


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Switch the language, and stay on the page."""
    language = request.POST.get("language", "")
    response = back(request)
    return _keep(request, response, language=language) if language in dict(settings.LANGUAGES) else response


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Switch between light and dark, and stay on the page."""
    theme = request.POST.get("theme", "")
    response = back(request)
    return _keep(request, response, theme=theme) if theme in Theme.values else response


def page(request: HttpRequest) -> HttpResponse:
    """All preferences in one form."""
    user = signed_in(request)
    initial: dict[str, Any] = {name: getattr(user, name) for name in preferences.KEPT}
    initial["language"] = user.language or get_language()
    if user.pull_client not in PullClient.values:
        initial |= {"pull_client": "", "other_client": user.pull_client}
    form = PreferencesForm(posted(request), initial=initial)
    if form.is_valid():
        with override(form.cleaned_data["language"]):
            messages.success(request, _("Your preferences have been saved."))
        return _keep(request, HttpResponseRedirect(reverse("admin:preferences")), **form.cleaned_data)
    context = {"title": _("Preferences"), "form": form, "submit_label": _("Save"), "guarded": True}
    return render(request, "portal/form.html", {**admin.site.each_context(request), **context})
