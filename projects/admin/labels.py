"""Labels of a project, and of the whole system."""

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
from harborsite.portal.pages import PortalAdmin, administrators_only, form_page, in_project
from harborsite.portal.templatetags.portal import label_chip, moment
from projects.models import Label
from projects.services import labels

COLORS = (
    ("#0065AB", gettext_lazy("Blue")),
    ("#00837A", gettext_lazy("Teal")),
    ("#3C8500", gettext_lazy("Green")),
    ("#8A6100", gettext_lazy("Yellow")),
    ("#B34700", gettext_lazy("Orange")),
    ("#C92100", gettext_lazy("Red")),
    ("#9B32C8", gettext_lazy("Purple")),
    ("#565656", gettext_lazy("Grey")),
)


class LabelForm(forms.Form):
    """A label's name, colour and what it means."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=128)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    color = forms.ChoiceField(label=gettext_lazy("Colour"), choices=COLORS, initial="#0065AB")


@admin.register(Label)
class LabelAdmin(PortalAdmin[Label]):
    """The Labels tab and Administration › Labels, which are one list each."""

    list_display = ("label", "description", "created")
    search_fields = ("name", "description")
    ordering = ("name",)
    actions = ("delete_chosen",)
    empty_text = gettext_lazy("No label yet.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        inside = "projects/<str:project>/labels/"
        return [
            path("labels/", administrators_only(site, self.labels), name="labels"),
            path("labels/new/", administrators_only(site, self.label_form), name="new_label"),
            path("labels/<int:label_id>/", administrators_only(site, self.label_form), name="label"),
            path(inside, in_project(site, self.labels, "label:create"), name="project_labels"),
            path(f"{inside}new/", in_project(site, self.label_form, "label:create"), name="new_project_label"),
            path(f"{inside}<int:label_id>/", in_project(site, self.label_form, "label:update"), name="project_label"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Label | None = None) -> bool:
        here = scope.find(request)
        return here.allows("label:create") if here else scope.visitor(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Label | None = None) -> bool:
        here = scope.find(request)
        return here.allows("label:delete") if here else scope.visitor(request).is_superuser

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        here = scope.find(request)
        return Label.objects.filter(project=here.project if here else None).select_related("project")

    def url_of(self, row: Label) -> str:
        if row.project:
            return reverse("admin:project_label", args=[row.project.name, row.pk])
        return reverse("admin:label", args=[row.pk])

    def _list_url(self, request: HttpRequest, view: str = "labels") -> str:
        here = scope.find(request)
        if here is None:
            return reverse(f"admin:{view}")
        name = {"labels": "project_labels", "new_label": "new_project_label"}[view]
        return reverse(f"admin:{name}", args=[here.project.name])

    @admin.display(description=gettext_lazy("Label"), ordering="name")
    def label(self, row: Label) -> str:
        return label_chip(row)

    @admin.display(description=gettext_lazy("Created"), ordering="creation_time")
    def created(self, row: Label) -> str:
        return moment(row.creation_time)

    def labels(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Labels"),
            add_url=self._list_url(request, "new_label"),
            add_label=_("New label"),
            action_buttons=[("delete_chosen", _("Delete"))],
        )

    def label_form(self, request: HttpRequest, label_id: int | None = None) -> HttpResponse:
        """Make one, or change the one of this id."""
        here, user = scope.find(request), scope.signed_in(request)
        label = get_object_or_404(self.get_queryset(request), pk=label_id) if label_id else None

        def save(data: dict[str, Any]) -> None:
            if label:
                labels.update_label(label=label, actor=user, **data)
            else:
                labels.create_label(actor=user, project=here.project if here else None, **data)

        check = partial(labels.check_name, project=here.project if here else None, label=label)
        initial = {"name": label.name, "description": label.description, "color": label.color} if label else None
        form = LabelForm(scope.posted(request), initial=initial)
        check_while_typing(form, name=check)
        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("Edit label") if label else _("New label"),
            success=_("The label has been saved."),
            next_url=self._list_url(request),
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Label]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows,
            lambda label: labels.delete_label(label=label, actor=user),
            _("{count} deleted."),
            title=_("Delete labels?"),
            warning=_("They are taken off every artifact that has them."),
            submit_label=_("Delete"),
        )
