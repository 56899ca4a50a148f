"""Administration › Registries: what is elsewhere, whether it answers, and with which credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import PortalAdmin, administrators_only
from harborsite.portal.templatetags.portal import moment
from harborsite.portal.trials import tried_form_page
from replication.adapters.base import KINDS
from replication.models import Registry
from replication.services import registries

PROVIDERS: Mapping[str, str] = {  # names of products, the same in every language
    "azure-acr": "Azure ACR",
    "docker-hub": "Docker Hub",
    "docker-registry": "Docker Registry",
    "github-ghcr": "GitHub GHCR",
    "gitlab": "GitLab",
    "google-gcr": "Google GCR",
    "harbor": "Harbor",
    "jfrog-artifactory": "JFrog Artifactory",
    "quay": "Quay",
}
_FIRST = ("harbor", "docker-registry", "docker-hub")  # what most people look for
_ON_CHANGE = {
    "hx-get": "",
    "hx-trigger": "change",
    "hx-target": "#provider",
    "hx-select": "#provider",
    "hx-swap": "outerHTML",
}


def provider(type_name: str) -> str:
    return PROVIDERS.get(type_name, type_name)


def status_badge(registry: Registry) -> str:
    if not registry.status:
        return "–"
    look = "role" if registry.status == Registry.Status.HEALTHY else "off"
    return format_html('<span class="badge {}">{}</span>', look, Registry.Status(registry.status).label)


def _providers() -> list[tuple[str, str]]:
    others = sorted(KINDS.keys() - set(_FIRST), key=provider)
    return [(name, provider(name)) for name in (*_FIRST, *others)]


class SecretText(forms.Textarea):
    """For secrets of several lines; never shows what was entered."""

    def format_value(self, value: object) -> str:
        return ""


class RegistryForm(forms.Form):
    """A registry elsewhere. Which provider it is decides what is suggested for the rest, and stays."""

    type = forms.ChoiceField(label=gettext_lazy("Provider"), choices=_providers, widget=forms.Select(attrs=_ON_CHANGE))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=registries.MAX_NAME)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    url = forms.CharField(
        label=gettext_lazy("Endpoint URL"),
        max_length=512,
        widget=forms.TextInput(attrs={"placeholder": "https://registry.example.com", "spellcheck": "false"}),
    )
    access_key = forms.CharField(
        label=gettext_lazy("Access ID"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("The user or robot account to sign in with; empty for none."),
    )
    access_secret = forms.CharField(
        label=gettext_lazy("Access secret"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    verify = forms.BooleanField(label=gettext_lazy("Verify the certificate"), required=False, initial=True)
    ca_certificate = forms.CharField(
        label=gettext_lazy("CA certificate"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("In PEM form, where the registry's certificate is not from a public authority."),
    )
    about_provider = ("url", "access_key", "access_secret")
    endpoints: Sequence[str] = ()

    def __init__(self, *args: Any, registry: Registry | None = None, provider: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry = registry
        kind = KINDS[provider if provider in KINDS else _FIRST[0]]
        secret = self.fields["access_secret"]
        if registry:
            self.fields["type"].disabled = True
            if registry.access_secret:
                secret.help_text = _("One is kept. Empty leaves it; another address or weaker checks forget it.")
        elif kind.endpoints:
            self.endpoints = [each["value"] for each in kind.endpoints["endpoints"]]
            self.fields["url"].widget.attrs["list"] = "endpoints"
            self.fields["url"].initial = self.endpoints[0] if self.endpoints else ""
        if kind.credentials:
            self.fields["access_key"].initial = kind.credentials["access_key_data"]
            secret.widget = SecretText(attrs={"rows": 4, "class": "mono", "spellcheck": "false"})
            secret.help_text = secret.help_text or _("The content of the key file.")

    def before(self) -> list[forms.BoundField]:
        return [self["type"], self["name"], self["description"]]

    def suggested(self) -> list[forms.BoundField]:
        return [self[name] for name in self.about_provider]

    def after(self) -> list[forms.BoundField]:
        return [self["verify"], self["ca_certificate"]]

    def entered(self) -> dict[str, Any]:
        """As the services want it; without a secret where the stored one is to stay."""
        data = self.cleaned_data
        found: dict[str, Any] = {
            name: data[name] for name in ("name", "description", "url", "access_key", "ca_certificate")
        }
        found |= {"insecure": not data["verify"], "credential_type": "basic" if data["access_key"] else ""}
        if data["access_secret"] or not data["access_key"]:
            found["access_secret"] = data["access_secret"] if data["access_key"] else ""
        return found


class StatusFilter(admin.SimpleListFilter):
    """By whether it answered lately."""

    title = gettext_lazy("Status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Registry.Status.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Registry]) -> QuerySet[Registry]:
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(Registry)
class RegistryAdmin(PortalAdmin[Registry]):
    """The list of registries, and the form of one."""

    list_display = ("name", "status_shown", "endpoint", "provider_shown", "verified", "access", "created", "about")
    search_fields = ("name", "url", "description")
    list_filter = (StatusFilter,)
    ordering = ("name",)
    actions = ("delete_chosen",)
    empty_text = gettext_lazy("No registry yet. Replication needs one at its other end.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("registries/", administrators_only(site, self.registry_list), name="registries"),
            path("registries/new/", administrators_only(site, self.registry_form), name="new_registry"),
            path("registries/<int:registry_id>/", administrators_only(site, self.registry_form), name="registry"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Registry | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_delete_permission = has_view_permission

    def url_of(self, row: Registry) -> str:
        return reverse("admin:registry", args=[row.pk])

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def status_shown(self, row: Registry) -> str:
        return status_badge(row)

    @admin.display(description=gettext_lazy("Endpoint URL"), ordering="url")
    def endpoint(self, row: Registry) -> str:
        return format_html('<span class="mono">{}</span>', row.url)

    @admin.display(description=gettext_lazy("Provider"), ordering="type")
    def provider_shown(self, row: Registry) -> str:
        return provider(row.type)

    @admin.display(description=gettext_lazy("Certificate verified"), ordering="insecure")
    def verified(self, row: Registry) -> str:
        return _("No") if row.insecure else _("Yes")

    @admin.display(description=gettext_lazy("Access ID"), ordering="access_key")
    def access(self, row: Registry) -> str:
        return row.access_key or "–"

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: Registry) -> str:
        return moment(row.creation_time)

    @admin.display(description=gettext_lazy("Description"))
    def about(self, row: Registry) -> str:
        return row.description

    def registry_list(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Registries"),
            add_url=reverse("admin:new_registry"),
            add_label=_("New registry"),
            action_buttons=[("delete_chosen", _("Delete"))],
        )

    def registry_form(self, request: HttpRequest, registry_id: int | None = None) -> HttpResponse:
        """Make one, change one, or only ask whether it would answer."""
        registry = get_object_or_404(Registry, pk=registry_id) if registry_id else None
        form = self._form(request, registry)
        check_while_typing(form, name=partial(registries.check_name, registry=registry))
        return tried_form_page(
            self.admin_site,
            request,
            form,
            lambda data: self._save(request, form),
            lambda: self._ask(form),
            may_lack="name",
            title=registry.name if registry else _("New registry"),
            crumbs=[(_("Registries"), reverse("admin:registries")), (registry or _("New registry"), "")],
            intro=self._used_by(registry) if registry else "",
            success=_("The registry has been saved."),
            next_url=reverse("admin:registries"),
            template="replication/registry_form.html",
        )

    def _form(self, request: HttpRequest, registry: Registry | None) -> RegistryForm:
        posted = scope.posted(request)
        if registry:
            names = ("type", "name", "description", "url", "access_key", "ca_certificate")
            initial = {name: getattr(registry, name) for name in names} | {"verify": not registry.insecure}
            return RegistryForm(posted, initial=initial, registry=registry, provider=registry.type)
        chosen = (posted or request.GET).get("type", "")
        initial = {"type": chosen} if chosen in KINDS else {}
        return RegistryForm(posted, initial=initial, provider=chosen)

    def _save(self, request: HttpRequest, form: RegistryForm) -> None:
        user, entered = scope.signed_in(request), form.entered()
        if form.registry is None:
            registries.create_registry(description=self._description(form), actor=user)
            return
        had_secret = bool(form.registry.access_secret)
        registries.update_registry(registry=form.registry, changes=entered, actor=user)
        if had_secret and entered["access_key"] and not form.registry.access_secret:
            messages.warning(
                request, _("The stored secret was for the old address or stricter checks and has been forgotten.")
            )

    def _description(self, form: RegistryForm) -> registries.Description:
        return registries.Description(type=form.cleaned_data["type"], **form.entered())

    def _ask(self, form: RegistryForm) -> str:
        if form.registry is None:
            registries.ping(description=self._description(form))
        else:
            registries.ping_changed(registry=form.registry, changes=form.entered())
        return _("The registry answers.")

    def _used_by(self, registry: Registry) -> str:
        count = registry.policies_from.count() + registry.policies_to.count()
        if not count:
            return ""
        return ngettext("{count} replication rule uses it.", "{count} replication rules use it.", count).format(
            count=count
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Registry]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda row: registries.delete_registry(registry=row, actor=user),
            _("{count} deleted."),
            title=_("Delete registries?"),
            warning=_("Their addresses and credentials are forgotten; what they hold stays there."),
            submit_label=_("Delete"),
        )
