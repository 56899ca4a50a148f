"""Administration: where users come from, and what a directory answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from harborsite.errors import AppError
from harborsite.portal import scope
from harborsite.portal.pages import administrators_only
from projects import params
from projects.identity.ldap import diagnosis, sources
from projects.services import settings

if TYPE_CHECKING:
    from harborsite.portal.site import PortalSite
    from projects.identity.ldap.sources import Source

_SCOPES = [(0, gettext_lazy("the base alone")), (1, gettext_lazy("one level below")), (2, gettext_lazy("all below"))]
_TEXT = forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"})


def _text(label: Any, help_text: Any = "") -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=False, max_length=4096, widget=_TEXT)


class AuthenticationForm(forms.Form):
    """One field for each setting, under its key."""

    auth_mode = forms.ChoiceField(
        label=gettext_lazy("Where users come from"),
        choices=[("db_auth", gettext_lazy("Database")), ("ldap_auth", gettext_lazy("LDAP directory"))],
        help_text=gettext_lazy("Can be changed while there is no account but the built-in administrator's."),
    )
    sign_in_sources = _text(
        gettext_lazy("Sources, in order"),
        gettext_lazy("database, ldap, ldap_2 and so on; empty follows from the choice above."),
    )
    ldap_url = _text(gettext_lazy("LDAP URL"), gettext_lazy("ldap://host or ldaps://host"))
    ldap_start_tls = forms.BooleanField(label=gettext_lazy("Encrypt ldap:// by StartTLS"), required=False)
    ldap_verify_cert = forms.BooleanField(label=gettext_lazy("Check the server's certificate"), required=False)
    ldap_ca_certificate = forms.CharField(
        label=gettext_lazy("CA certificate (PEM)"),
        help_text=gettext_lazy("Empty means those of the system."),
        required=False,
        max_length=16_000,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )
    ldap_search_dn = _text(gettext_lazy("Search DN"), gettext_lazy("The account that may search; empty is anonymous."))
    ldap_search_password = forms.CharField(
        label=gettext_lazy("Search password"),
        help_text=gettext_lazy("Empty leaves the present one."),
        required=False,
        strip=False,
        # What was typed stays while it is tried; what is kept is never in `initial`.
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
    )
    ldap_base_dn = _text(gettext_lazy("Base DN"))
    ldap_uid = _text(gettext_lazy("Attribute of the user name"), gettext_lazy("Such as uid, cn, sAMAccountName."))
    ldap_filter = _text(gettext_lazy("Filter for users"))
    ldap_scope = forms.TypedChoiceField(label=gettext_lazy("Scope"), coerce=int, choices=_SCOPES)
    ldap_timeout = forms.IntegerField(
        label=gettext_lazy("Seconds that a sign-in waits in all"), min_value=1, max_value=diagnosis.LONGEST_SECONDS
    )
    ldap_group_base_dn = _text(gettext_lazy("Base DN of groups"), gettext_lazy("Empty means the one of users."))
    ldap_group_search_filter = _text(
        gettext_lazy("Filter for groups"), gettext_lazy("With it groups are searched for, nested ones included.")
    )
    ldap_group_attribute_name = _text(gettext_lazy("Attribute of a group's name"))
    ldap_group_search_scope = forms.TypedChoiceField(label=gettext_lazy("Scope of groups"), coerce=int, choices=_SCOPES)
    ldap_group_membership_attribute = _text(gettext_lazy("Attribute of a user that names the groups"))
    ldap_group_admin_dn = _text(gettext_lazy("DN of the administrators' group"))


class UserForm(forms.Form):
    """Whom to look for."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        help_text=gettext_lazy("Empty leaves the last step out."),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


_SHOWN = tuple(params.PARAMS[key] for key in AuthenticationForm.base_fields)


def urls(site: PortalSite) -> list[URLPattern]:
    def page(view: Any) -> Any:
        return administrators_only(site, sensitive_post_parameters()(lambda request: view(site, request)))

    return [
        path("authentication/", page(_settings), name="authentication"),
        path("authentication/server/", page(_server), name="test_server"),
        path("authentication/user/", page(_user), name="test_user"),
    ]


def _settings(site: PortalSite, request: HttpRequest) -> HttpResponse:
    form = _form(request)
    if request.method == "POST" and form.is_valid():
        try:
            settings.change_settings(values=_changed(form), actor=scope.signed_in(request))
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The settings have been saved."))
            return HttpResponseRedirect(reverse("admin:authentication"))
    return _page(site, request, form)


def _server(site: PortalSite, request: HttpRequest) -> HttpResponse:
    """Try the server as the form has it, saved or not, and the further ones of harbor.cfg."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:authentication"))
    form = _form(request)
    if form.is_valid():
        try:
            tried = sources.tried(settings.checked(_changed(form)))
        except AppError as error:
            form.add_error(None, error.message)
        else:
            _try(request, form, tried)
            for source in _further():
                _try(request, form, source)
    return _page(site, request, form)


def _form(request: HttpRequest) -> AuthenticationForm:
    initial = {param.key: params.get(param) for param in _SHOWN if not param.secret}
    form = AuthenticationForm(scope.posted(request), initial=initial)
    form.fields[params.AUTH_MODE.key].disabled = settings.auth_mode_is_fixed()
    return form


def _changed(form: AuthenticationForm) -> dict[str, object]:
    """What is not as before; secrets where one was typed."""
    given = ((params.PARAMS[key], value) for key, value in form.cleaned_data.items())
    return {param.key: value for param, value in given if (value if param.secret else value != params.get(param))}


def _try(request: HttpRequest, form: AuthenticationForm, source: Source) -> None:
    if source.search_dn and not source.search_password:
        text = _("Enter it: the present one is sent to no other address, and as no other account.")
        form.add_error(params.LDAP_SEARCH_PASSWORD.key, text)
        return
    try:
        diagnosis.ping(source)
    except AppError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("{name}: the server lets the search account in.").format(name=source.name))


def _further() -> list[Source]:
    return [source for source in sources.configured() if source.name != sources.first().name]


def _page(site: PortalSite, request: HttpRequest, form: AuthenticationForm) -> HttpResponse:
    context = {"title": _("Authentication"), "form": form, "order": sources.order(), "further": _further()}
    context["guarded"] = True
    return render(request, "projects/authentication.html", {**site.each_context(request), **context})


def _user(site: PortalSite, request: HttpRequest) -> HttpResponse:
    form = UserForm(scope.posted(request))
    steps = None
    if request.method == "POST" and form.is_valid():
        found = diagnosis.examine(username=form.cleaned_data["username"], password=form.cleaned_data["password"])
        steps = list(found)
    context = {"title": _("Test a user"), "form": form, "steps": steps}
    return render(request, "projects/test_user.html", {**site.each_context(request), **context})
