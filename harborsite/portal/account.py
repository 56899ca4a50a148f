"""One's own session: signing in and out, password, profile."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from harborsite.errors import AppError
from harborsite.portal import preferences
from harborsite.portal.forms import (
    OwnPasswordForm,
    ProfileForm,
    SignInForm,
    SignUpForm,
    check_while_typing,
    judgement,
)
from harborsite.portal.scope import posted, signed_in
from harborsite.portal.second_factor import ask
from projects import params
from projects.identity import second_factor
from projects.identity.signin import DEFAULT_PASSWORD
from projects.models.user import ADMIN_ID
from projects.services import accounts

_MUST_CHANGE = "must_change_password"
_SEEN = "seen"
_NOTED_EVERY = 60  # seconds; a row is written each time


def must_change_password(request: HttpRequest) -> bool:
    """Whether the person signed in with the default password and has not changed it yet."""
    return bool(request.session.get(_MUST_CHANGE)) and request.user.is_authenticated


def end_if_idle(request: HttpRequest) -> None:
    """End a session in which nothing was asked for longer than the setting allows; note that something was.

    Requests that a page makes by itself (htmx polling marks them) do not count as somebody being there.
    """
    if not request.user.is_authenticated:
        return
    now, limit = int(time.time()), params.get(params.SESSION_TIMEOUT) * 60
    seen = int(request.session.get(_SEEN, now))
    if now - seen > limit:
        logout(request)
    elif _SEEN not in request.session or (now - seen >= _NOTED_EVERY and "X-Background" not in request.headers):
        request.session[_SEEN] = now
        request.session.set_expiry(limit)


class SignInView(LoginView):
    """The sign-in page; goes on to the page that was asked for, in the person's own language."""

    site: ClassVar[AdminSite | None] = None
    authentication_form = SignInForm
    template_name = "portal/sign_in.html"
    redirect_authenticated_user = True
    next_page = "admin:index"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        frame = admin.site.each_context(self.request)
        sign_up = accounts.sign_up_is_open()
        return super().get_context_data(**frame, title=_("Sign in"), sign_up_is_open=sign_up, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        if second_factor.is_on(form.get_user()):
            return ask(self.request, form.get_user(), self.get_success_url())
        response = super().form_valid(form)
        user = signed_in(self.request)
        if user.pk == ADMIN_ID and form.cleaned_data["password"] == DEFAULT_PASSWORD:
            self.request.session[_MUST_CHANGE] = True
            response = HttpResponseRedirect(reverse("admin:password_change"))
        preferences.take_along(response, user)
        return response


@sensitive_post_parameters()
def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account for oneself, where visitors may; never an administrator's."""
    if request.user.is_authenticated:
        return HttpResponseRedirect(reverse("admin:index"))
    if not accounts.sign_up_is_open():
        raise Http404
    form = SignUpForm(posted(request))
    check_while_typing(form, username=accounts.check_new_username, email=accounts.check_email)
    if answer := judgement(request, form):
        return answer
    if form.is_valid():
        new = form.cleaned_data
        try:
            accounts.create_user(
                username=new["username"],
                email=new["email"],
                password=new["new_password"],
                realname=new["realname"],
                comment=new["comment"],
                actor=new["username"],
            )
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("Your account has been created. Sign in with it."))
            return HttpResponseRedirect(reverse("admin:login"))
    context = {
        "title": _("Sign up"),
        "form": form,
        "submit_label": _("Sign up"),
        "guarded": True,
        "cancel_url": reverse("admin:login"),
    }
    return render(request, "portal/form.html", {**admin.site.each_context(request), **context})


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; the public projects stay open to the visitor."""
    logout(request)
    return HttpResponseRedirect(reverse("admin:login"))


@sensitive_post_parameters()
def change_password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; the session goes on, all others of the account end."""
    user = signed_in(request)
    if user.is_of_directory:
        raise PermissionDenied(_("Your password is kept in a directory. Change it there."))
    form = OwnPasswordForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            accounts.change_password(
                user=user, old_password=form.cleaned_data["old_password"], password=form.cleaned_data["new_password"]
            )
        except AppError as error:
            form.add_error(None, error.message)
        else:
            request.session.pop(_MUST_CHANGE, None)
            update_session_auth_hash(request, user)
            messages.success(request, _("Your password has been changed."))
            return HttpResponseRedirect(reverse("admin:index"))
    context = {
        "title": _("Change password"),
        "form": form,
        "submit_label": _("Change password"),
        "cancel_url": None if must_change_password(request) else reverse("admin:profile"),
    }
    return render(request, "portal/form.html", {**admin.site.each_context(request), **context})


def profile(request: HttpRequest) -> HttpResponse:
    """One's own name and e-mail address."""
    user = signed_in(request)
    initial = {"email": user.email or "", "realname": user.realname, "comment": user.comment}
    form = ProfileForm(posted(request), initial=initial)
    check_while_typing(form, email=partial(accounts.check_email, user=user))
    for field in form.fields.values():
        field.disabled = user.is_of_directory
    if answer := judgement(request, form):
        return answer
    if request.method == "POST" and form.is_valid():
        try:
            accounts.update_profile(user=user, actor=user, **form.cleaned_data)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("Your profile has been saved."))
            return HttpResponseRedirect(reverse("admin:profile"))
    context = {"title": _("User profile"), "form": form, "submit_label": _("Save"), "guarded": True}
    if user.is_of_directory:
        context |= {
            "submit_label": "",
            "guarded": False,
            "intro": _("This is what the directory says of you. Change it there."),
        }
    return render(request, "portal/form.html", {**admin.site.each_context(request), **context})
