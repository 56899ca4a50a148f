"""Codes beside the password: asked for after it, switched on and off on a page of one's own."""

from __future__ import annotations

import time
from typing import Any

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth import login
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from harborsite.errors import AppError
from harborsite.portal import preferences
from harborsite.portal.scope import posted, signed_in
from harborsite.sealing import seal, unseal
from projects.identity import client_address, second_factor
from projects.models import User

_PENDING, _CANDIDATE = "second_factor_pending", "second_factor_candidate"  # in the session
_MINUTES_FOR_THE_CODE = 5


class CodeForm(forms.Form):
    """Six digits, or a recovery code."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=32,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}),
    )


def ask(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    """The password was right: remember whose, in a session that is nobody's yet, and ask for the code."""
    request.session.cycle_key()
    request.session[_PENDING] = {"user": user.pk, "next": next_url, "until": time.time() + _MINUTES_FOR_THE_CODE * 60}
    return HttpResponseRedirect(reverse("admin:login_code"))


@sensitive_post_parameters()
def enter_code(request: HttpRequest) -> HttpResponse:
    """The second step of signing in."""
    pending = request.session.get(_PENDING)
    user = User.objects.living().filter(pk=pending["user"], is_active=True).first() if pending else None
    if pending is None or user is None or time.time() > pending["until"]:
        request.session.pop(_PENDING, None)
        return HttpResponseRedirect(reverse("admin:login"))
    form = CodeForm(posted(request))
    if form.is_valid():
        if _accepts(request, user, form):
            return _come_in(request, user, pending["next"])
        user_login_failed.send(__name__, credentials={"username": user.username}, request=request)
    context = {
        "title": _("Second factor"),
        "intro": _("Enter the code that your authenticator app shows, or one of your recovery codes."),
        "form": form,
        "submit_label": _("Sign in"),
        "cancel_url": reverse("admin:login"),
    }
    return render(request, "portal/form.html", {**admin.site.each_context(request), **context})


def _come_in(request: HttpRequest, user: User, next_url: str) -> HttpResponse:
    del request.session[_PENDING]
    login(request, user)
    allowed = url_has_allowed_host_and_scheme(next_url, {request.get_host()}, request.is_secure())
    response = HttpResponseRedirect(next_url if allowed else reverse("admin:index"))
    preferences.take_along(response, user)
    return response


@sensitive_post_parameters()
def page(request: HttpRequest) -> HttpResponse:
    """Switch one's second factor on, or off; either takes a code."""
    user = signed_in(request)
    return _switch_off(request, user) if second_factor.is_on(user) else _switch_on(request, user)


def _switch_on(request: HttpRequest, user: User) -> HttpResponse:
    secret = unseal(request.session.get(_CANDIDATE, "")) or second_factor.new_secret()
    form = CodeForm(posted(request))
    if form.is_valid():
        try:
            codes = second_factor.switch_on(user=user, secret=secret, code=form.cleaned_data["code"])
        except AppError as error:
            form.add_error("code", error.message)
        else:
            request.session.pop(_CANDIDATE, None)
            return _render(request, "portal/recovery_codes.html", codes=codes)
    request.session[_CANDIDATE] = seal(secret)
    code = segno.make(second_factor.address_of(user, secret))
    return _render(
        request,
        "portal/second_factor.html",
        form=form,
        secret=secret,
        picture=mark_safe(code.svg_inline(scale=5, border=2)),  # noqa: S308 - squares, no text of anybody's
    )


def _switch_off(request: HttpRequest, user: User) -> HttpResponse:
    form = CodeForm(posted(request))
    if form.is_valid() and _accepts(request, user, form):
        second_factor.switch_off(user=user, actor=user)
        messages.success(request, _("The second factor is off."))
        return HttpResponseRedirect(reverse("admin:second_factor"))
    return _render(
        request,
        "portal/form.html",
        form=form,
        intro=_("It is on: signing in to the portal takes a code. To switch it off, enter one."),
        submit_label=_("Switch off"),
        cancel_url=reverse("admin:profile"),
    )


def _accepts(request: HttpRequest, user: User, form: CodeForm) -> bool:
    """Whether the code is right; says in the form why not."""
    try:
        if second_factor.accepts(user=user, code=form.cleaned_data["code"], address=client_address(request.META)):
            return True
        form.add_error("code", _("This code is wrong, or was used before."))
    except AppError as error:
        form.add_error(None, error.message)
    return False


def _render(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    frame = admin.site.each_context(request)
    return render(request, template, {**frame, "title": _("Second factor"), **context})
