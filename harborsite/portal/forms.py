"""What forms share, and those that belong to no single noun: signing in, one's own password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from harborsite.errors import AppError


def check_while_typing(form: forms.Form, **checks: Callable[[str], object]) -> None:
    """Let a service judge fields by raising AppError: when they are sent, and as soon as somebody stops typing.

    The page posts the one field to its own address, whose view answers with `judgement`.
    """
    for name, check in checks.items():
        field = form.fields[name]
        field.validators.append(_as_validator(check))
        field.widget.attrs |= {
            "hx-post": "",
            "hx-trigger": "input changed delay:400ms",
            "hx-params": f"{name},csrfmiddlewaretoken",
            "hx-target": f"#{form[name].auto_id}_error",
            "hx-sync": "this:replace",
        }


def _as_validator(check: Callable[[str], object]) -> Callable[[str], None]:
    def validate(value: str) -> None:
        try:
            check(value)
        except AppError as refusal:
            raise forms.ValidationError(refusal.message) from None

    return validate


def judgement(request: HttpRequest, form: forms.Form) -> HttpResponse | None:
    """What to say beside the field that is being typed; None where the request is about the whole form."""
    name = request.headers.get("HX-Trigger-Name", "")
    if request.method != "POST" or name not in form.fields or "hx-post" not in form.fields[name].widget.attrs:
        return None
    return render(request, "portal/field_errors.html", {"errors": form.errors.get(name, ())})


def suggesting(address: str) -> dict[str, str]:
    """Attributes of a text field that is offered what `address` answers to what has been typed so far."""
    return {
        "autocomplete": "off",
        "list": "suggestions",
        "hx-get": address,
        "hx-trigger": "input changed delay:250ms",
        "hx-target": "#suggestions",
        "hx-sync": "this:replace",
    }


class SignInForm(AuthenticationForm):
    """Accepts whoever the sign-in sources accept; robots sign in to the registry, not here."""

    error_messages = {"invalid_login": _("The user name or the password is wrong.")}

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except AppError as refusal:  # such as the default password from another machine
            raise forms.ValidationError(refusal.message) from None


class PasswordForm(forms.Form):
    """A new password, twice; the rule for passwords is the service's."""

    new_password = forms.CharField(
        label=_("New password"),
        help_text=_("8 to 128 characters with an upper-case letter, a lower-case letter and a digit."),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    confirmation = forms.CharField(
        label=_("New password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("new_password") != cleaned.get("confirmation"):
            self.add_error("confirmation", _("The two passwords differ."))
        return cleaned


class OwnPasswordForm(PasswordForm):
    """Changing one's own password asks for the present one."""

    field_order = ["old_password", "new_password", "confirmation"]

    old_password = forms.CharField(
        label=_("Present password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


class SignUpForm(PasswordForm):
    """An account that visitors make for themselves."""

    field_order = ["username", "email", "realname", "new_password", "confirmation", "comment"]

    username = forms.CharField(
        label=_("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )
    email = forms.EmailField(label=_("E-mail"), max_length=255)
    realname = forms.CharField(label=_("Full name"), max_length=20)
    comment = forms.CharField(label=_("Comment"), max_length=30, required=False)


class ProfileForm(forms.Form):
    """What a person says about themselves."""

    email = forms.EmailField(label=_("E-mail"), max_length=255, required=False)
    realname = forms.CharField(label=_("Full name"), max_length=255, required=False)
    comment = forms.CharField(label=_("Comment"), max_length=255, required=False)
