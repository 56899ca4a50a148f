"""Administration: how much each project may store."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.pages import PortalAdmin, administrators_only, form_page
from harborsite.portal.templatetags.portal import binary_size
from projects import params
from projects.admin import sizes
from projects.models import Quota
from projects.models.quota import UNLIMITED
from projects.services import quotas, settings


@admin.register(Quota)
class QuotaAdmin(PortalAdmin[Quota]):
    """The list of quotas, one's limit, and the limit of new projects."""

    list_display = ("project_name", "owner", "used_shown", "hard_shown", "share")
    search_fields = ("project__name",)
    ordering = ("-used",)
    empty_text = gettext_lazy("No project to show.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("quotas/", administrators_only(site, self.quotas), name="quotas"),
            path("quotas/default/", administrators_only(site, self.default), name="default_quota"),
            path("quotas/<int:quota_id>/", administrators_only(site, self.quota), name="quota"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Quota | None = None) -> bool:
        return scope.visitor(request).is_superuser

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quota]:
        return Quota.objects.select_related("project__owner")

    def url_of(self, row: Quota) -> str:
        return reverse("admin:quota", args=[row.pk])

    @admin.display(description=gettext_lazy("Project"), ordering="project__name")
    def project_name(self, row: Quota) -> str:
        return row.project.name

    @admin.display(description=gettext_lazy("Owner"), ordering="project__owner__username")
    def owner(self, row: Quota) -> str:
        return row.project.owner.username

    @admin.display(description=gettext_lazy("Used"), ordering="used")
    def used_shown(self, row: Quota) -> str:
        return binary_size(row.used)

    @admin.display(description=gettext_lazy("Limit"), ordering="hard")
    def hard_shown(self, row: Quota) -> str:
        return _("none") if row.hard == UNLIMITED else binary_size(row.hard)

    @admin.display(description=gettext_lazy("Share"))
    def share(self, row: Quota) -> str:
        if row.hard == UNLIMITED:
            return ""
        percent = round(100 * row.used / row.hard)
        look = "warning" if percent >= quotas.WARNING_PERCENT else ""
        return format_html(
            '<progress max="100" value="{0}" aria-label="{1}%" class="{2}"></progress> <span class="more">{1}%</span>',
            min(100, percent),
            percent,
            look,
        )

    def quotas(self, request: HttpRequest) -> HttpResponse:
        default = params.get(params.STORAGE_PER_PROJECT)
        limit = _("none") if default == UNLIMITED else binary_size(default)
        return self.list_page(
            request,
            _("Project quotas"),
            add_url=reverse("admin:default_quota"),
            add_label=_("Limit of new projects: {limit}").format(limit=limit),
            add_is_minor=True,
        )

    def quota(self, request: HttpRequest, quota_id: int) -> HttpResponse:
        quota = get_object_or_404(self.get_queryset(request), pk=quota_id)
        user = scope.signed_in(request)
        return form_page(
            self.admin_site,
            request,
            sizes.LimitFields(scope.posted(request), initial=sizes.initial(quota.hard)),
            lambda data: quotas.set_limit(quota=quota, hard=sizes.entered(data), actor=user),
            title=_("Storage quota of {name}").format(name=quota.project.name),
            success=_("The quota has been changed."),
            next_url=reverse("admin:quotas"),
        )

    def default(self, request: HttpRequest) -> HttpResponse:
        user = scope.signed_in(request)

        def save(data: dict[str, Any]) -> None:
            values = {params.STORAGE_PER_PROJECT.key: sizes.entered(data)}
            settings.change_settings(values=values, actor=user)

        return form_page(
            self.admin_site,
            request,
            sizes.LimitFields(scope.posted(request), initial=sizes.initial(params.get(params.STORAGE_PER_PROJECT))),
            save,
            title=_("Storage quota of new projects"),
            success=_("The quota has been changed."),
            next_url=reverse("admin:quotas"),
        )
