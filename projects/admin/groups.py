"""Administration: groups of directories."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.forms import check_while_typing
from harborsite.portal.pages import PortalAdmin, administrators_only, form_page
from harborsite.portal.templatetags.portal import moment
from projects.identity.ldap import lookup
from projects.models import UserGroup
from projects.services import groups


class GroupForm(forms.Form):
    """A group of a directory, by its DN."""

    dn = forms.CharField(
        label=gettext_lazy("LDAP group DN"),
        max_length=512,
        help_text=gettext_lazy("It has to be in the directory, as in cn=developers,ou=groups,dc=example,dc=com."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off", "spellcheck": "false"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=255,
        required=False,
        help_text=gettext_lazy("What the group is called here; empty means as in the directory."),
    )


class NameForm(forms.Form):
    """Another name for a group."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=255, widget=forms.TextInput({"autofocus": True}))


@admin.register(UserGroup)
class UserGroupAdmin(PortalAdmin[UserGroup]):
    """Administration: groups of directories."""

    list_display = ("group_name", "group_type", "dn", "created")
    search_fields = ("group_name", "ldap_group_dn")
    ordering = ("group_name",)
    actions = ("delete_chosen",)
    empty_text = gettext_lazy("No group is known yet. Groups become known when they are added here or to a project.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("groups/", administrators_only(site, self.groups), name="groups"),
            path("groups/new/", administrators_only(site, self.new_group), name="new_group"),
            path("groups/<int:group_id>/", administrators_only(site, self.group), name="group"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: UserGroup | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_delete_permission = has_view_permission

    def url_of(self, row: UserGroup) -> str:
        return reverse("admin:group", args=[row.pk])

    @admin.display(description=gettext_lazy("DN"), ordering="ldap_group_dn")
    def dn(self, row: UserGroup) -> str:
        return row.ldap_group_dn or "–"

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: UserGroup) -> str:
        return moment(row.creation_time)

    def groups(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Groups"),
            add_url=reverse("admin:new_group"),
            add_label=_("New group"),
            action_buttons=[("delete_chosen", _("Delete"))],
        )

    def new_group(self, request: HttpRequest) -> HttpResponse:
        actor, form = scope.signed_in(request), GroupForm(scope.posted(request))
        check_while_typing(form, name=groups.check_name)

        def save(data: dict[str, Any]) -> None:
            lookup.add_group(dn=data["dn"], name=data["name"], actor=actor)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("New group"),
            submit_label=_("Add group"),
            success=_("The group has been added."),
            next_url=reverse("admin:groups"),
        )

    def group(self, request: HttpRequest, group_id: int) -> HttpResponse:
        actor, group = scope.signed_in(request), get_object_or_404(UserGroup, pk=group_id)
        form = NameForm(scope.posted(request), initial={"name": group.group_name})
        check_while_typing(form, name=partial(groups.check_name, group=group))

        def save(data: dict[str, Any]) -> None:
            groups.rename_group(group=group, name=data["name"], actor=actor)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Edit group"),
            intro=group.ldap_group_dn,
            success=_("The group has been saved."),
            next_url=reverse("admin:groups"),
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[UserGroup]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self.confirmation(
                request,
                "delete_chosen",
                rows,
                title=_("Delete groups?"),
                warning=_("Their members lose at once the roles that they have by these groups."),
                submit_label=_("Delete"),
            )
        actor = scope.signed_in(request)
        self.each(request, rows, lambda group: groups.delete_group(group=group, actor=actor), _("{count} deleted."))
        return None
