"""The configuration of a project: who sees it, what may be pulled from it, and which vulnerabilities do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.pages import form_page, in_project
from projects.admin import allowlists
from projects.models import Project
from projects.services import metadata

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from harborsite.portal.site import PortalSite

PUBLIC_HELP = gettext_lazy("Everyone may see and pull what is in a public project, also without signing in.")
_SIGNED = gettext_lazy(
    "What lacks a signature asked for here is not given away. Whose it is and whether it holds, whoever pulls checks."
)
_SEVERITIES = (
    ("none", gettext_lazy("None")),
    ("low", gettext_lazy("Low")),
    ("medium", gettext_lazy("Medium")),
    ("high", gettext_lazy("High")),
    ("critical", gettext_lazy("Critical")),
)
_SYSTEM, _OWN = "true", "false"  # what the setting reuse_sys_cve_allowlist says
_DEFAULTS = {"severity": "low", "reuse_sys_cve_allowlist": _SYSTEM}  # where nothing is set


class ConfigurationForm(allowlists.AllowlistFields):
    """The settings of a project under their keys, and its CVE allowlist."""

    public = forms.BooleanField(label=gettext_lazy("Public"), required=False, help_text=PUBLIC_HELP)
    enable_content_trust_cosign = forms.BooleanField(label=gettext_lazy("Only images signed by cosign"), required=False)
    enable_content_trust = forms.BooleanField(label=gettext_lazy("Only images signed by notation"), required=False)
    prevent_vul = forms.BooleanField(
        label=gettext_lazy("Refuse pulls of vulnerable images"),
        required=False,
        help_text=allowlists.NEEDS_A_SCANNER,
    )
    severity = forms.ChoiceField(
        label=gettext_lazy("From this severity on"),
        choices=_SEVERITIES,
        required=False,
        widget=forms.Select({"data-when": "prevent_vul=on"}),
    )
    auto_scan = forms.BooleanField(label=gettext_lazy("Scan images when they are pushed"), required=False)
    auto_sbom_generation = forms.BooleanField(
        label=gettext_lazy("Generate an SBOM when an image is pushed"), required=False
    )
    reuse_sys_cve_allowlist = forms.ChoiceField(
        label=gettext_lazy("Vulnerabilities that do not count"),
        choices=((_SYSTEM, gettext_lazy("Those of the system")), (_OWN, gettext_lazy("Those of this project"))),
        required=False,
        widget=forms.RadioSelect,
    )

    flags = ("enable_content_trust_cosign", "enable_content_trust", "prevent_vul", "auto_scan", "auto_sbom_generation")
    parts: Sequence[tuple[_StrOrPromise, _StrOrPromise, Sequence[str]]] = (
        (gettext_lazy("Access level"), "", ("public",)),
        (
            gettext_lazy("What may be pulled"),
            _SIGNED,
            ("enable_content_trust_cosign", "enable_content_trust", "prevent_vul", "severity"),
        ),
        (gettext_lazy("Scanning"), allowlists.NEEDS_A_SCANNER, ("auto_scan", "auto_sbom_generation")),
        (
            gettext_lazy("CVE allowlist"),
            allowlists.NEEDS_A_SCANNER,
            ("reuse_sys_cve_allowlist", "items", "last_day"),
        ),
    )

    def __init__(self, *args: Any, may_change: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("items", "last_day"):
            self.fields[name].widget.attrs["data-when"] = f"reuse_sys_cve_allowlist={_OWN}"
        for field in self.fields.values():
            field.disabled = not may_change

    def groups(self) -> list[tuple[_StrOrPromise, _StrOrPromise, list[forms.BoundField]]]:
        """The fields under their headings, and what is to be said of them together."""
        return [(title, note, [self[name] for name in names]) for title, note, names in self.parts]

    def settings(self) -> dict[str, str]:
        """What was entered, as the service wants it."""
        data = self.cleaned_data
        flags = {name: "true" if data[name] else "false" for name in ("public", *self.flags)}
        chosen = ("severity", "reuse_sys_cve_allowlist") if data["prevent_vul"] else ("reuse_sys_cve_allowlist",)
        return flags | {name: data[name] for name in chosen if data[name]}


def urls(site: PortalSite) -> list[URLPattern]:
    def page(request: HttpRequest) -> HttpResponse:
        return _configuration(site, request)

    where = "projects/<str:project>/configuration/"
    # Whoever works in the project reads it, as in Harbor; guests are shown none of it.
    return [path(where, in_project(site, page, "repository:push"), name="project_configuration")]


def _configuration(site: PortalSite, request: HttpRequest) -> HttpResponse:
    here, user = scope.current(request), scope.signed_in(request)
    may_change = here.allows("project:update")
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    system, posted = allowlists.of(None), scope.posted(request)
    if posted and "copy" in posted:
        both = [posted.get("items", ""), *(system.items if system else [])]
        entered = {**posted.dict(), "items": "\n".join(allowlists.identifiers("\n".join(both)))}
        form = ConfigurationForm(initial=entered, may_change=may_change)
    else:
        form = ConfigurationForm(posted, initial=_initial(here.project), may_change=may_change)

    def save(data: Mapping[str, Any]) -> None:
        allowlists.change(form, project=here.project, actor=user)  # may refuse, so it is first
        metadata.change_all(project=here.project, values=form.settings(), actor=user)

    return form_page(
        site,
        request,
        form,
        save,
        template="projects/configuration.html",
        title=_("Configuration"),
        submit_label=_("Save") if may_change else "",
        system=system,
        success=_("The configuration has been saved."),
        next_url=reverse("admin:project_configuration", args=[here.project.name]),
        cancel_url=None,
    )


def _initial(project: Project) -> dict[str, Any]:
    kept = metadata.of_project(project)
    flags = {name: metadata.is_true(kept.get(name, "")) for name in ("public", *ConfigurationForm.flags)}
    chosen = {name: kept.get(name, default) for name, default in _DEFAULTS.items()}
    return {**flags, **chosen, **allowlists.initial(allowlists.of(project))}
