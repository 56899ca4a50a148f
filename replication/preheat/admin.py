"""Administration › Distributions: instances of peer-to-peer distributors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import SwitchedAdmin, administrators_only
from harborsite.portal.runs import state_badge
from harborsite.portal.templatetags.portal import moment
from harborsite.portal.trials import AskedAdmin, tried_form_page
from projects.models import User
from replication.models import PreheatInstance
from replication.preheat import instances

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

VENDORS: Mapping[str, str] = {"dragonfly": "Dragonfly", "kraken": "Kraken"}  # names of products
NONE, BASIC, OAUTH = "NONE", "BASIC", "OAUTH"
MODES: Mapping[str, _StrOrPromise] = {
    NONE: gettext_lazy("None"),
    BASIC: gettext_lazy("Basic: user name and password"),
    OAUTH: gettext_lazy("OAuth: a token"),
}
_NOTHING_YET = gettext_lazy("Instances are registered, and asked whether they answer. Nothing is preheated yet.")


class InstanceForm(forms.Form):
    """An instance; whether it answers is asked by the button alone, as it may be set up later."""

    vendor = forms.ChoiceField(label=gettext_lazy("Provider"), choices=list(VENDORS.items()))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=63)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    endpoint = forms.CharField(
        label=gettext_lazy("Endpoint URL"),
        max_length=255,
        widget=forms.TextInput({"placeholder": "https://manager.example.com", "class": "mono", "spellcheck": "false"}),
    )
    auth_mode = forms.ChoiceField(label=gettext_lazy("Authorization"), choices=list(MODES.items()))
    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        required=False,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "data-when": "auth_mode=BASIC"}),
    )
    secret = forms.CharField(
        label=gettext_lazy("Password or token"),
        max_length=4096,
        required=False,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password", "data-when": "auth_mode=BASIC,OAUTH"}),
    )
    verify = forms.BooleanField(label=gettext_lazy("Verify the certificate"), required=False, initial=True)
    is_default = forms.BooleanField(label=gettext_lazy("Set as default"), required=False)
    enabled = forms.BooleanField(label=gettext_lazy("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, instance: PreheatInstance | None = None, **kwargs: Any) -> None:
        if instance:
            same = ("vendor", "name", "description", "endpoint", "auth_mode", "is_default", "enabled")
            kwargs["initial"] = {**{name: getattr(instance, name) for name in same}, "verify": not instance.insecure}
        super().__init__(*args, **kwargs)
        if instance:
            self.fields["vendor"].disabled = True
            self._offer("vendor", instance.vendor)
            self._offer("auth_mode", instance.auth_mode)
            if instance.auth_info:
                secret = self.fields["secret"]
                secret.help_text = _("One is kept. Empty leaves it; another address or weaker checks forget it.")

    def _offer(self, name: str, kept: str) -> None:
        """What is kept can be chosen, also where only the REST API sets it."""
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField) and kept not in dict(field.choices):  # type: ignore[arg-type]
            field.choices = [*field.choices, (kept, kept)]  # type: ignore[misc]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("auth_mode") == BASIC and bool(data.get("username")) != bool(data.get("secret")):
            self.add_error("username", _("Enter the user name and the password together."))
        return data

    def described(self) -> instances.Description:
        """As the service wants it; without credentials where the stored ones are to stay."""
        data, known = self.cleaned_data, {}
        if data["secret"] and data["auth_mode"] == BASIC:
            known = {"username": data["username"], "password": data["secret"]}
        elif data["secret"] and data["auth_mode"] == OAUTH:
            known = {"token": data["secret"]}
        same = ("vendor", "name", "description", "endpoint", "auth_mode", "is_default", "enabled")
        return instances.Description(
            **{name: data[name] for name in same}, auth_info=known, insecure=not data["verify"]
        )


@admin.register(PreheatInstance)
class PreheatInstanceAdmin(SwitchedAdmin[PreheatInstance], AskedAdmin[PreheatInstance]):
    """The list of instances, and the form of one."""

    list_display = ("instance_name", "state", "endpoint_shown", "provider_shown", "access", "created", "about")
    search_fields = ("name", "endpoint", "description")
    ordering = ("name",)
    actions = ("test_chosen", "make_default", "enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No instance yet.")
    change_list_template = "portal/noted_list.html"

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        form = administrators_only(site, self.instance_form)
        return [
            path("distributions/", administrators_only(site, self.instance_list), name="distributions"),
            path("distributions/new/", form, name="new_distribution"),
            path("distributions/<int:instance_id>/", form, name="distribution"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: PreheatInstance | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_delete_permission = has_view_permission

    def url_of(self, row: PreheatInstance) -> str:
        return reverse("admin:distribution", args=[row.pk])

    @admin.display(description=gettext_lazy("Name"), ordering="name")
    def instance_name(self, row: PreheatInstance) -> str:
        return row.name

    @admin.display(description=gettext_lazy("State"), ordering="enabled")
    def state(self, row: PreheatInstance) -> str:
        default = format_html(' <span class="badge">{}</span>', _("Default")) if row.is_default else ""
        return format_html("{}{}", state_badge(row.enabled), default)

    @admin.display(description=gettext_lazy("Endpoint URL"), ordering="endpoint")
    def endpoint_shown(self, row: PreheatInstance) -> str:
        return format_html('<span class="mono">{}</span>', row.endpoint)

    @admin.display(description=gettext_lazy("Provider"), ordering="vendor")
    def provider_shown(self, row: PreheatInstance) -> str:
        return VENDORS.get(row.vendor, row.vendor)

    @admin.display(description=gettext_lazy("Authorization"), ordering="auth_mode")
    def access(self, row: PreheatInstance) -> str:
        return "–" if row.auth_mode == NONE else row.auth_mode

    @admin.display(description=gettext_lazy("Created"), ordering="setup_time")
    def created(self, row: PreheatInstance) -> str:
        return moment(row.setup_time)

    @admin.display(description=gettext_lazy("Description"))
    def about(self, row: PreheatInstance) -> str:
        return row.description

    def instance_list(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Distributions"),
            note=_NOTHING_YET,
            add_url=reverse("admin:new_distribution"),
            add_label=_("New instance"),
            action_buttons=[
                ("test_chosen", _("Test connection")),
                ("make_default", _("Set as default")),
                ("enable", _("Enable")),
                ("disable", _("Disable")),
                ("delete_chosen", _("Delete")),
            ],
        )

    def instance_form(self, request: HttpRequest, instance_id: int | None = None) -> HttpResponse:
        """Register one, change one, or only ask whether it would answer."""
        instance = get_object_or_404(PreheatInstance, pk=instance_id) if instance_id else None
        form, user = InstanceForm(scope.posted(request), instance=instance), scope.signed_in(request)
        check_while_typing(form, name=partial(instances.check_name, instance=instance))
        title = instance.name if instance else _("New instance")

        def save(data: Mapping[str, Any]) -> None:
            if instance is None:
                instances.create(description=form.described(), actor=user)
                return
            had_secret = bool(instance.auth_info)
            instances.update(instance=instance, description=form.described(), actor=user)
            if had_secret and data["auth_mode"] != NONE and not instance.auth_info:
                messages.warning(
                    request, _("The stored secret was for the old address or stricter checks and has been forgotten.")
                )

        def ask() -> str:
            instances.ping(description=form.described(), instance=instance)
            return _("The instance answers.")

        return tried_form_page(
            self.admin_site,
            request,
            form,
            save,
            ask,
            title=title,
            crumbs=[(_("Distributions"), reverse("admin:distributions")), (title, "")],
            success=_("The instance has been saved."),
            next_url=reverse("admin:distributions"),
        )

    def ask(self, row: PreheatInstance) -> str:
        instances.ping_stored(instance=row)
        return _("The instance answers.")

    @admin.action(permissions=["change"], description=gettext_lazy("Set as default"))
    def make_default(self, request: HttpRequest, rows: QuerySet[PreheatInstance]) -> None:
        if rows.count() != 1:
            self.message_user(request, _("Choose one: there is one default."), messages.ERROR)
            return
        user = scope.signed_in(request)
        self.each(request, rows, lambda row: instances.make_default(instance=row, actor=user), _("{count} changed."))

    def switch(self, row: PreheatInstance, *, on: bool, actor: User) -> None:
        instances.set_enabled(instance=row, enabled=on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[PreheatInstance]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda row: instances.delete(instance=row, actor=user),
            _("{count} deleted."),
            title=_("Delete instances?"),
            warning=_("Their addresses and credentials are forgotten."),
            submit_label=_("Delete"),
        )
