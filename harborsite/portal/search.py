"""One box over everything that a visitor may see."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from harborsite.portal import scope
from projects.models import Project
from registry.models import Repository

_MOST = 20


def results(request: HttpRequest) -> HttpResponse:
    """Projects and repositories whose name holds the text."""
    text = request.GET.get("q", "").strip()
    who = scope.visitor(request)
    context: dict[str, Any] = {"title": _("Search"), "search_text": text}
    if text:
        projects = Project.objects.visible_to(who).filter(name__icontains=text).order_by("name")
        found = Repository.objects.visible_to(who).filter(name__icontains=text)
        repositories = found.select_related("project").order_by("name")
        context |= {"projects": projects[:_MOST], "repositories": repositories[:_MOST]}
    return render(request, "portal/search.html", {**admin.site.each_context(request), **context})
