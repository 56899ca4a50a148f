"""Administration › Clean up: garbage collection, and what it would free before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.jobs.kinds import GARBAGE_COLLECTION
from harborsite.portal import cleanup, scope
from harborsite.portal.pages import PortalAdmin, administrators_only
from harborsite.portal.templatetags.portal import binary_size, moment, short_digest
from registry.admin.checking import StorageCheck
from registry.admin.display import artifact_url
from registry.models import Artifact, Blob, Repository
from registry.services import gc, preview, usage

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_MOST_SHARES, _TAGS_SHOWN = 200, 3
_REPOSITORY = "gc_repository"


class GarbageForm(forms.Form):
    """How a run goes about it."""

    delete_untagged = forms.BooleanField(
        label=gettext_lazy("Delete untagged artifacts"),
        required=False,
        help_text=gettext_lazy("Those that no index lists, and that were pushed more than two hours ago."),
    )
    workers = forms.IntegerField(
        label=gettext_lazy("Workers"),
        min_value=1,
        max_value=gc.MAX_WORKERS,
        initial=1,
        help_text=gettext_lazy("How many files are removed at the same time."),
    )


class GarbageRuns(cleanup.SystemRuns):
    """Each with what it freed, or would."""

    def results(self, attrs: Mapping[str, Any]) -> str:
        if "freed_space" not in attrs:
            return ""
        counts = {name: attrs.get(f"purged_{name}", 0) for name in ("manifests", "blobs")}
        return ", ".join(
            [
                ngettext("{count} manifest", "{count} manifests", counts["manifests"]).format(
                    count=counts["manifests"]
                ),
                ngettext("{count} blob", "{count} blobs", counts["blobs"]).format(count=counts["blobs"]),
                binary_size(attrs["freed_space"]),
            ]
        )


class GarbageCollection(cleanup.SystemJob):
    """The first tab of the clean-up."""

    vendor_type = GARBAGE_COLLECTION
    view, below = "garbage_runs", "clean-up/"
    run_title = gettext_lazy("Collect garbage now")
    run_label = gettext_lazy("Collect now")
    run_intro = gettext_lazy(
        "What no artifact needs is removed for good. What was pushed or asked for within the last two hours stays, and "
        "pushes and pulls go on meanwhile."
    )
    form, runs = GarbageForm, GarbageRuns

    def parameters(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"delete_untagged": data["delete_untagged"], "delete_tag": False, "workers": data["workers"]}

    def entered(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "delete_untagged": parameters.get("delete_untagged") is True,
            "workers": parameters.get("workers") or 1,
        }

    def facts(self, parameters: Mapping[str, Any]) -> list[tuple[_StrOrPromise, str]]:
        untagged = _("deleted") if parameters.get("delete_untagged") else _("kept")
        return [
            (_("Untagged artifacts"), untagged),
            (_("Workers"), str(parameters.get("workers") or 1)),
        ]

    def tools(self) -> list[tuple[str, str]]:
        return [(_("Preview"), reverse("admin:garbage_preview"))]


class Footprints(PortalAdmin[Artifact]):
    """What each artifact of one repository would free if it alone went."""

    list_display = ("artifact", "tag_names", "exclusive", "shared", "pushed")
    ordering = ("-push_time", "-id")
    empty_text = gettext_lazy("The repository is empty.")

    def has_view_permission(self, request: HttpRequest, obj: Artifact | None = None) -> bool:
        return scope.visitor(request).is_superuser

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        rows = Artifact.objects.listed().filter(repository=request.__dict__[_REPOSITORY])
        return rows.defer("manifest", "extra_attrs", "annotations")

    def complete(self, request: HttpRequest, rows: Sequence[Artifact]) -> None:
        repository: Repository = request.__dict__[_REPOSITORY]
        found = usage.of_artifacts(repository.pk, [row.pk for row in rows])
        for row in rows:
            row.__dict__["footprint"] = found.get(row.pk, usage.Footprint())
            row.__dict__["url"] = artifact_url(repository.name, row.digest)

    def url_of(self, row: Artifact) -> str:
        return str(row.__dict__["url"])

    @admin.display(description=gettext_lazy("Artifact"), ordering="digest")
    def artifact(self, row: Artifact) -> str:
        return format_html('<span class="mono">{}</span>', short_digest(row.digest))

    @admin.display(description=gettext_lazy("Tags"))
    def tag_names(self, row: Artifact) -> str:
        names = row.__dict__["footprint"].tags
        chips = ((name,) for name in names[:_TAGS_SHOWN])
        shown = format_html_join(" ", '<span class="tag" title="{0}">{0}</span>', chips)
        rest = len(names) - _TAGS_SHOWN
        return format_html("{} +{}", shown, rest) if rest > 0 else shown

    @admin.display(description=gettext_lazy("Freed if it goes"))
    def exclusive(self, row: Artifact) -> str:
        return binary_size(row.__dict__["footprint"].exclusive)

    @admin.display(description=gettext_lazy("Shared, stays"))
    def shared(self, row: Artifact) -> str:
        return binary_size(row.__dict__["footprint"].shared)

    @admin.display(description=gettext_lazy("Pushed"), ordering="push_time")
    def pushed(self, row: Artifact) -> str:
        return moment(row.push_time)


@admin.register(Blob)
class BlobAdmin(PortalAdmin[Blob]):
    """Blobs have no list; these are the pages about those that nothing needs."""

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("clean-up/preview/", administrators_only(site, self.preview), name="garbage_preview"),
            path("clean-up/artifacts/<path:name>/", administrators_only(site, self.artifacts), name="footprints"),
            *GarbageCollection(site).urls(),
            *StorageCheck(site).urls(),
        ]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """In all, and by project, repository and untagged artifact."""
        delete_untagged = request.GET.get("delete_untagged", "") == "on"
        found = preview.compute(delete_untagged=delete_untagged, grace=gc.GRACE)
        held = set(
            Repository.objects.filter(name__in=[share.name for share in found.repositories[:_MOST_SHARES]]).values_list(
                "name", flat=True
            )
        )
        return self.page(
            request,
            "registry/garbage_preview.html",
            title=_("What garbage collection would free now"),
            crumbs=[(_("Clean up"), reverse("admin:garbage_runs")), (_("Preview"), "")],
            delete_untagged=delete_untagged,
            found=found,
            parts=[
                (_("By project"), _("Project"), [(share, "") for share in found.projects[:_MOST_SHARES]]),
                (
                    _("By repository"),
                    _("Repository"),
                    [
                        (share, reverse("admin:footprints", args=[share.name]) if share.name in held else "")
                        for share in found.repositories[:_MOST_SHARES]
                    ],
                ),
                (
                    _("By untagged artifact"),
                    _("Artifact"),
                    [(share, _url_of(share.name)) for share in found.artifacts[:_MOST_SHARES]],
                ),
            ],
            most=_MOST_SHARES,
        )

    def artifacts(self, request: HttpRequest, name: str) -> HttpResponse:
        repository = get_object_or_404(Repository, name=name)
        request.__dict__[_REPOSITORY] = repository
        return Footprints(Artifact, self.admin_site).list_page(
            request,
            repository.name,
            crumbs=[
                (_("Clean up"), reverse("admin:garbage_runs")),
                (_("Preview"), reverse("admin:garbage_preview")),
                (repository.name, ""),
            ],
        )


def _url_of(name: str) -> str:
    repository, _at, digest = name.partition("@")
    return artifact_url(repository, digest)
