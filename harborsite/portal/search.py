"""One box over everything that a visitor may see."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from harborsite.portal import scope
from harborsite.principal import Principal
from projects.models import Label, Project
from registry.models import Artifact, ArtifactLabel, Repository, Tag

_MOST, _MOST_LABELS = 20, 200


def results(request: HttpRequest) -> HttpResponse:
    """Projects, repositories and labels whose name holds the text; tags of this name; the artifacts of a digest.

    `repository:tag` finds the tag in the repositories of that name.
    """
    text = request.GET.get("q", "").strip()[:512]
    context: dict[str, Any] = {"title": _("Search"), "search_text": text}
    if text and "\0" not in text:
        who = scope.visitor(request)
        name, _colon, tag = text.rpartition(":")
        visible = Repository.objects.visible_to(who)
        named = visible.filter(name__icontains=name) if name else visible
        tags = Tag.objects.filter(name=tag, repository__in=named.values("pk")).order_by("-push_time", "-pk")
        tags = tags.prefetch_related("repository__project", Prefetch("artifact", Artifact.objects.defer("manifest")))
        digests = Artifact.objects.filter(digest__startswith=text, repository__in=visible.values("pk"))
        context |= {
            "projects": Project.objects.visible_to(who).filter(name__icontains=text).order_by("name")[:_MOST],
            # joined to their projects they would all be sorted; alone they are read in the order of their names
            "repositories": visible.filter(name__icontains=text).prefetch_related("project").order_by("name")[:_MOST],
            "tags": tags[:_MOST],
            "labelled": _labelled(text, who, visible),
            "artifacts": digests.select_related("repository__project").defer("manifest")[:_MOST]
            if text.startswith(("sha256:", "sha512:"))
            else [],
        }
    return render(request, "portal/search.html", {**admin.site.each_context(request), **context})


def _labelled(text: str, who: Principal, visible: QuerySet[Repository]) -> list[tuple[Label, Repository, int]]:
    """Labels with the repositories that have them on artifacts, and on how many."""
    known = Q(project=None) | Q(project__in=Project.objects.visible_to(who).values("pk"))
    named = Label.objects.filter(known, name__icontains=text).values_list("pk", flat=True)[:_MOST_LABELS]
    found = ArtifactLabel.objects.filter(label__in=list(named), artifact__repository__in=visible.values("pk"))
    counted = found.values_list("label", "artifact__repository").annotate(Count("pk"))
    rows = list(counted.order_by("label__name", "artifact__repository__name")[:_MOST])
    labels = Label.objects.in_bulk({label for label, _repository, _count in rows})
    repositories = Repository.objects.select_related("project").in_bulk({repository for _label, repository, _c in rows})
    return [(labels[label], repositories[repository], count) for label, repository, count in rows]
