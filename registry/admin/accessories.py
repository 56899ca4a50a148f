"""What is attached to an artifact (signatures, SBOMs), below its row in the list and on its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import ngettext

from harborsite.portal import scope
from registry.admin.display import artifact_url
from registry.models import Artifact, Repository

MOST = 50  # below a row; the artifact's page has all
Types = Mapping[str, Mapping[str, int]]


def types_of(repository: Repository, digests: Iterable[str]) -> Types:
    """How many accessories of which type each of these artifacts has; those that have none are left out."""
    found: dict[str, dict[str, int]] = {}
    rows = Artifact.objects.order_by().filter(repository=repository, subject_digest__in=list(digests))
    for subject, kind, number in rows.values_list("subject_digest", "accessory_type").annotate(Count("pk")):
        found.setdefault(subject, {})[kind] = number
    return found


def attached_to(repository: Repository, digest: str) -> QuerySet[Artifact]:
    rows = Artifact.objects.filter(repository=repository, subject_digest=digest)
    return rows.defer("manifest").order_by("-push_time", "-pk")


def counted(number: int) -> str:
    return ngettext("{number} accessory", "{number} accessories", number).format(number=number)


def rows_below(request: HttpRequest, artifact: Artifact, columns: int) -> HttpResponse:
    """One row of the list's table that holds a table of them."""
    repository = artifact.repository
    page = artifact_url(repository.name, artifact.digest) + "#accessories"
    if not request.headers.get("HX-Request"):
        return HttpResponseRedirect(page)
    rows = list(attached_to(repository, artifact.digest)[: MOST + 1])
    below = types_of(repository, (row.digest for row in rows))
    for row in rows:
        number = sum(below.get(row.digest, {}).values())
        vars(row)["below"] = counted(number) if number else ""
    context = {
        "artifact": artifact,
        "repository": repository,
        "project": scope.current(request).project,
        "accessories": rows[:MOST],
        "more_url": page if len(rows) > MOST else "",
        "may_delete": scope.current(request).allows("artifact:delete"),
        "columns": columns,
    }
    return render(request, "registry/accessory_rows.html", context)
