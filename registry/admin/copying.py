"""The page that copies an artifact to another repository."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.pages import form_page
from harborsite.portal.site import PortalSite
from harborsite.portal.templatetags.portal import short_digest
from projects.models import Project, User
from projects.permissions import can
from registry.admin.display import artifact_url, repository_url
from registry.models import Artifact, Repository
from registry.oci import grammar
from registry.services import copies

COPY = "artifact:create"  # what one needs in the project that gets the copy


class CopyForm(forms.Form):
    """Where to: a project that the person may push to, and a repository in it, which need not exist."""

    project = forms.CharField(
        label=gettext_lazy("Project"), max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    repository = forms.CharField(
        label=gettext_lazy("Repository"), max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, user: User, source: Repository, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.source = user, source

    def clean_project(self) -> Project:
        """A project that one may not see and one that is not there get the same answer."""
        name = self.cleaned_data["project"]
        project = Project.objects.visible_to(self.user).filter(name=name).first()
        if project is None:
            raise forms.ValidationError(_("There is no project of this name, or you may not see it."))
        if not can(self.user, COPY, project):
            raise forms.ValidationError(_("Your role in this project does not allow to push."))
        return project

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        project, short = cleaned.get("project"), cleaned.get("repository")
        if project and short:
            name = f"{project.name}/{short}"
            if not grammar.is_repository_name(name):
                self.add_error("repository", _("Lower-case letters, digits and single / . _ - between them."))
            elif name == self.source.name:
                self.add_error("repository", _("This is where it is already."))
        return cleaned


def page(site: PortalSite, request: HttpRequest, artifact: Artifact) -> HttpResponse:
    """Ask where to, copy, and show the copy."""
    user, source = scope.signed_in(request), artifact.repository
    initial = {"project": source.project.name, "repository": source.short_name}

    def save(data: dict[str, Any]) -> str:
        name = f"{data['project'].name}/{data['repository']}"
        copies.copy(source=artifact, project=data["project"], repository_name=name, actor=user)
        return artifact_url(name, artifact.digest)

    here = artifact_url(source.name, artifact.digest)
    return form_page(
        site,
        request,
        CopyForm(scope.posted(request), initial=initial, user=user, source=source),
        save,
        title=_("Copy {name}").format(name=short_digest(artifact.digest)),
        heading=source.name,
        intro=_(
            "Its tags, the images of an index, signatures and other accessories go along. Nothing is stored twice."
        ),
        crumbs=[
            (source.short_name, repository_url(source)),
            (short_digest(artifact.digest), here),
            (_("Copy"), ""),
        ],
        submit_label=_("Copy"),
        guarded=False,
        success=_("The artifact has been copied."),
        next_url=here,
    )
