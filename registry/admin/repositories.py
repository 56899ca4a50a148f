"""The Repositories tab."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite import config
from harborsite.portal import scope
from harborsite.portal.pages import ProjectPartAdmin
from harborsite.portal.templatetags.portal import moment
from registry import clientlines
from registry.admin import storage
from registry.admin.display import explain, listed_artifacts, repository_url
from registry.models import Artifact, Repository
from registry.services import deletes


@admin.register(Repository)
class RepositoryAdmin(ProjectPartAdmin[Repository]):
    """The repositories of one project."""

    view_action = "repository:list"
    list_display = ("short_name", "artifact_count", "pulls", "modified")
    search_fields = ("name",)
    ordering = ("-update_time",)
    actions = ("delete_chosen",)
    empty_text = gettext_lazy("No repository yet: the first push makes one.")
    change_list_template = "registry/repositories.html"
    cards_template = "registry/repository_cards.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            path("projects/<str:project>/repositories/", self.in_project(self.repositories), name="repositories"),
            path("projects/<str:project>/storage/", self.in_project(self.storage, "quota:read"), name="storage"),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Repository | None = None) -> bool:
        return scope.current(request).allows("repository:delete")

    def url_of(self, row: Repository) -> str:
        return repository_url(row)

    def complete(self, request: HttpRequest, rows: Sequence[Repository]) -> None:
        listed = listed_artifacts(Artifact.objects.filter(repository__in=[row.pk for row in rows]))
        counts = dict(listed.values_list("repository").annotate(Count("pk")).order_by())
        for row in rows:
            vars(row).update(artifact_count=counts.get(row.pk, 0), url=repository_url(row))

    @admin.display(description=gettext_lazy("Name"), ordering="name")
    def short_name(self, row: Repository) -> str:
        return row.short_name

    @admin.display(description=gettext_lazy("Artifacts"))
    def artifact_count(self, row: Repository) -> int:
        return int(vars(row).get("artifact_count", 0))

    @admin.display(description=gettext_lazy("Pulls"), ordering="pull_count")
    def pulls(self, row: Repository) -> int:
        return row.pull_count

    @admin.display(description=gettext_lazy("Last modified"), ordering="update_time")
    def modified(self, row: Repository) -> str:
        return moment(row.update_time)

    def repositories(self, request: HttpRequest) -> HttpResponse:
        here = scope.current(request)
        lines = clientlines.push(f"{here.project.name}/NAME") if here.allows("repository:push") else []
        buttons = [("delete_chosen", _("Delete"))] if self.has_delete_permission(request) else []
        return self.list_page(
            request,
            _("Repositories"),
            push_lines=lines,
            action_buttons=buttons,
            certificate=config.current().ca_file.is_file(),
        )

    def storage(self, request: HttpRequest) -> HttpResponse:
        return storage.page(self.admin_site, request)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Repository]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows.select_related("project"),
            lambda repository: deletes.delete_repository(repository=repository, actor=user),
            _("{count} deleted."),
            explain=explain,
            title=_("Delete repositories?"),
            warning=_("All their artifacts and tags go. The space is free after the next garbage collection."),
            submit_label=_("Delete"),
        )
