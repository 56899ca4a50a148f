"""Administration › Scanners, and the Scanner tab of a project."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import SwitchedAdmin, administrators_only, form_page, in_project
from harborsite.portal.runs import state_badge
from harborsite.portal.templatetags.portal import moment
from harborsite.portal.trials import AskedAdmin, answer_of, tried_form_page
from projects.models import User
from registry.models import Scanner
from registry.services import scanners

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

AUTHS: Mapping[str, _StrOrPromise] = {
    Scanner.Auth.NONE: gettext_lazy("None"),
    Scanner.Auth.BASIC: gettext_lazy("Basic: user name and password"),
    Scanner.Auth.BEARER: gettext_lazy("Bearer: a token"),
    Scanner.Auth.API_KEY: gettext_lazy("API key"),
}
CAPABILITIES: Mapping[str, _StrOrPromise] = {
    "support_vulnerability": gettext_lazy("Vulnerabilities"),
    "support_sbom": gettext_lazy("SBOM"),
}
_NOTHING_YET = gettext_lazy("Scanners are registered, and asked whether they answer. Nothing is scanned by them yet.")
_DEFAULT = ""  # the choice of a project that takes whichever is the default


def described(told: scanners.Metadata) -> str:
    """What an adapter said of itself: in a sentence, and in full for who unfolds it."""
    sentence = _("{name} {version} by {vendor} answers. It finds: {capabilities}.").format(
        **told["scanner"], capabilities=able(scanners.capabilities(told))
    )
    facts: list[tuple[object, object]] = []
    for each in told["capabilities"]:
        kind = CAPABILITIES.get(f"support_{each['type']}", each["type"])
        for text, kinds in ((_("reads"), each["consumes_mime_types"]), (_("writes"), each["produces_mime_types"])):
            facts.append((f"{kind}, {text}", format_html_join("", '<div class="mono">{}</div>', ((k,) for k in kinds))))
    facts += told["properties"].items()
    rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", facts)
    return format_html(
        '{}<details><summary>{}</summary><dl class="pairs">{}</dl></details>', sentence, _("All that it says"), rows
    )


def able(capabilities: Mapping[str, bool]) -> str:
    return ", ".join(str(label) for key, label in CAPABILITIES.items() if capabilities.get(key)) or "–"


def default_badge(scanner: Scanner) -> str:
    return format_html(' <span class="badge">{}</span>', _("Default")) if scanner.is_default else ""


class ScannerForm(forms.Form):
    """A scanner by its adapter, which has to answer before it is kept."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=128)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    url = forms.CharField(
        label=gettext_lazy("Endpoint URL"),
        max_length=512,
        widget=forms.TextInput(
            attrs={"placeholder": "https://scanner.example.com", "class": "mono", "spellcheck": "false"}
        ),
        help_text=gettext_lazy("Of the adapter, without /api/v1."),
    )
    auth = forms.ChoiceField(label=gettext_lazy("Authorization"), choices=list(AUTHS.items()), required=False)
    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "data-when": "auth=Basic"}),
    )
    secret = forms.CharField(
        label=gettext_lazy("Password, token or key"),
        max_length=4096,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "data-when": "auth=Basic,Bearer,APIKey"}),
    )
    verify = forms.BooleanField(label=gettext_lazy("Verify the certificate"), required=False, initial=True)
    use_internal_address = forms.BooleanField(
        label=gettext_lazy("Use the registry's internal address"),
        required=False,
        help_text=gettext_lazy("Where the scanner reaches this registry by another way than everybody."),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, scanner: Scanner | None = None, **kwargs: Any) -> None:
        if scanner:
            same = ("name", "description", "url", "auth", "use_internal_address")
            kwargs["initial"] = {
                **{name: getattr(scanner, name) for name in same},
                "verify": not scanner.skip_verify,
                "enabled": not scanner.disabled,
            }
        super().__init__(*args, **kwargs)
        if scanner and scanner.credential:
            self.fields["secret"].help_text = _("One is kept. Empty leaves it; for another address give it again.")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("auth") == Scanner.Auth.BASIC and bool(data.get("username")) != bool(data.get("secret")):
            self.add_error("username", _("Enter the user name and the password together."))
        return data

    def described(self) -> scanners.Description:
        """As the service wants it; without a credential where the stored one is to stay."""
        data = self.cleaned_data
        credential = data["secret"]
        if credential and data["auth"] == Scanner.Auth.BASIC:
            credential = f"{data['username']}:{credential}"
        return scanners.Description(
            **{name: data[name] for name in ("name", "description", "url", "auth", "use_internal_address")},
            credential=credential if data["auth"] else "",
            skip_verify=not data["verify"],
            disabled=not data["enabled"],
        )


class ChoiceForm(forms.Form):
    """Which scanner a project uses."""

    scanner = forms.ChoiceField(label=gettext_lazy("Scanner"), required=False, widget=forms.RadioSelect)

    def __init__(self, *args: Any, offered: list[Scanner], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["scanner"]
        if isinstance(field, forms.ChoiceField):
            choices = [(each.uuid, _offered(each)) for each in offered]
            field.choices = [(_DEFAULT, _("The system's default")), *choices]


def _offered(scanner: Scanner) -> str:
    """Its name, whether it is the default, where it is and what is said about it."""
    return format_html(
        '<span><span class="named">{}</span>{} <span class="more about"><span class="mono">{}</span> {}</span></span>',
        scanner.name,
        default_badge(scanner),
        scanner.url,
        scanner.description,
    )


@admin.register(Scanner)
class ScannerAdmin(SwitchedAdmin[Scanner], AskedAdmin[Scanner]):
    """The list of scanners, the form of one, and the choice of a project."""

    list_display = ("scanner_name", "state", "endpoint", "access", "finds", "created", "about")
    search_fields = ("name", "url", "description")
    ordering = ("name",)
    actions = ("test_chosen", "make_default", "enable", "disable", "delete_chosen")
    empty_text = gettext_lazy("No scanner yet.")
    change_list_template = "portal/noted_list.html"

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        # Whoever works in the project sees it, as in Harbor; guests do not.
        tab = in_project(site, self.of_project, "repository:push")
        return [
            path("scanners/", administrators_only(site, self.scanner_list), name="scanners"),
            path("scanners/new/", administrators_only(site, self.scanner_form), name="new_scanner"),
            path("scanners/<int:scanner_id>/", administrators_only(site, self.scanner_form), name="scanner"),
            path("projects/<str:project>/scanner/", tab, name="project_scanner"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Scanner | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_delete_permission = has_view_permission

    def url_of(self, row: Scanner) -> str:
        return reverse("admin:scanner", args=[row.pk])

    @admin.display(description=gettext_lazy("Name"), ordering="name")
    def scanner_name(self, row: Scanner) -> str:
        return row.name

    @admin.display(description=gettext_lazy("State"), ordering="disabled")
    def state(self, row: Scanner) -> str:
        return format_html("{}{}", state_badge(not row.disabled), default_badge(row))

    @admin.display(description=gettext_lazy("Endpoint URL"), ordering="url")
    def endpoint(self, row: Scanner) -> str:
        return format_html('<span class="mono">{}</span>', row.url)

    @admin.display(description=gettext_lazy("Authorization"), ordering="auth")
    def access(self, row: Scanner) -> str:
        return row.auth or "–"

    @admin.display(description=gettext_lazy("Finds"))
    def finds(self, row: Scanner) -> str:
        return able(row.capabilities)

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: Scanner) -> str:
        return moment(row.creation_time)

    @admin.display(description=gettext_lazy("Description"))
    def about(self, row: Scanner) -> str:
        return row.description

    def scanner_list(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Scanners"),
            note=_NOTHING_YET,
            add_url=reverse("admin:new_scanner"),
            add_label=_("New scanner"),
            action_buttons=[
                ("test_chosen", _("Test connection")),
                ("make_default", _("Set as default")),
                ("enable", _("Enable")),
                ("disable", _("Disable")),
                ("delete_chosen", _("Delete")),
            ],
        )

    def scanner_form(self, request: HttpRequest, scanner_id: int | None = None) -> HttpResponse:
        """Register one, change one, or only ask whether it would answer."""
        scanner = get_object_or_404(Scanner, pk=scanner_id) if scanner_id else None
        form, user = ScannerForm(scope.posted(request), scanner=scanner), scope.signed_in(request)
        check_while_typing(form, name=partial(scanners.check_name, scanner=scanner))
        title = scanner.name if scanner else _("New scanner")

        def save(data: Mapping[str, Any]) -> None:
            if scanner:
                scanners.update(scanner=scanner, description=form.described(), actor=user)
            else:
                scanners.register(description=form.described(), actor=user)

        return tried_form_page(
            self.admin_site,
            request,
            form,
            save,
            lambda: described(scanners.ping(description=form.described(), scanner=scanner)),
            title=title,
            crumbs=[(_("Scanners"), reverse("admin:scanners")), (title, "")],
            success=_("The scanner has been saved."),
            next_url=reverse("admin:scanners"),
        )

    def of_project(self, request: HttpRequest) -> HttpResponse:
        """What the project uses; its administrators choose."""
        here, user = scope.current(request), scope.signed_in(request)
        used, chosen = scanners.of_project(here.project), scanners.chosen_by(here.project)
        may_choose, tests = here.allows("scanner:create"), "test" in request.POST
        if request.method == "POST" and not tests and not may_choose:
            raise PermissionDenied
        offered = list(Scanner.objects.filter(disabled=False).order_by("name"))
        if chosen and chosen.disabled:
            offered.append(chosen)
        by_uuid = {scanner.uuid: scanner for scanner in offered}

        def save(data: Mapping[str, Any]) -> None:
            scanners.choose(project=here.project, scanner=by_uuid.get(data["scanner"]), actor=user)

        return form_page(
            self.admin_site,
            request,
            ChoiceForm(
                None if tests else scope.posted(request),
                initial={"scanner": chosen.uuid if chosen else _DEFAULT},
                offered=offered,
            ),
            save,
            template="registry/project_scanner.html",
            title=_("Scanner"),
            note=_NOTHING_YET,
            scanner=used,
            badges=format_html("{}{}", state_badge(not used.disabled), default_badge(used)) if used else "",
            finds=able(used.capabilities) if used else "",
            may_choose=may_choose and offered,
            answer=answer_of(lambda: described(scanners.metadata(used))) if tests and used else None,
            success=_("The scanner has been chosen."),
            next_url=reverse("admin:project_scanner", args=[here.project.name]),
            cancel_url=None,
        )

    def ask(self, row: Scanner) -> str:
        return described(scanners.metadata(row))

    @admin.action(permissions=["change"], description=gettext_lazy("Set as default"))
    def make_default(self, request: HttpRequest, rows: QuerySet[Scanner]) -> None:
        if rows.count() != 1:
            self.message_user(request, _("Choose one: there is one default."), messages.ERROR)
            return
        user = scope.signed_in(request)
        self.each(request, rows, lambda row: scanners.make_default(scanner=row, actor=user), _("{count} changed."))

    def switch(self, row: Scanner, *, on: bool, actor: User) -> None:
        scanners.set_enabled(scanner=row, enabled=on, actor=actor)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Scanner]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda row: scanners.delete(scanner=row, actor=user),
            _("{count} deleted."),
            title=_("Delete scanners?"),
            warning=_("Their addresses and credentials are forgotten. Projects that use them take the default one."),
            submit_label=_("Delete"),
        )
