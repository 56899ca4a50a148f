"""What a project stores: its own bytes, those shared with others, and garbage; and which repositories hold most."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from harborsite.portal import charts, scope
from harborsite.portal.pages import project_context
from harborsite.portal.site import PortalSite
from registry.services import usage

_LARGEST = 20


def page(site: PortalSite, request: HttpRequest) -> HttpResponse:
    """The chart with its table, and the largest repositories."""
    project = scope.current(request).project
    found = usage.of_project(project.pk)
    shares = charts.parts(
        [(_("Only here"), found.unique), (_("Shared"), found.shared), (_("Reclaimable"), found.reclaimable)]
    )
    notes = (
        _("Needed by artifacts of this project alone."),
        _("Other projects hold it too: deleting it here frees nothing."),
        _("Needed by no artifact: the next garbage collection frees it."),
    )
    context = {
        "title": _("Storage"),
        "total": found.total,
        "chart": charts.donut(shares, _("Storage by what it is needed for; the table says the same")),
        "shares": list(zip(shares, notes, strict=True)),
        "repositories": _largest(usage.largest_repositories(project.pk, _LARGEST)),
    }
    return render(
        request, "registry/storage.html", {**site.each_context(request), **project_context(request), **context}
    )


def _largest(found: Sequence[tuple[str, int]]) -> list[dict[str, object]]:
    most = max((size for _name, size in found), default=1) or 1
    return [
        {"short_name": name.partition("/")[2], "size": size, "bar": charts.bar(100 * size / most)}
        for name, size in found
    ]
