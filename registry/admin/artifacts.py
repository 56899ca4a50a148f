"""The artifacts of one repository, and one artifact with its tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.errors import AppError
from harborsite.portal import scope
from harborsite.portal.pages import ProjectPartAdmin, form_page
from harborsite.portal.preferences import pull_client
from harborsite.portal.templatetags.portal import binary_size, label_chip, moment, short_digest, unfolding
from projects.models import Label
from registry import clientlines
from registry.admin import accessories, copying, parts, tagging
from registry.admin.display import (
    KINDS,
    artifact_url,
    copy_buttons,
    explain,
    first_pull_line,
    kind_label,
    listed_artifacts,
    plain_pairs,
    platform_label,
    repository_url,
)
from registry.models import Artifact, ArtifactLabel, Repository, Tag
from registry.policies import trust
from registry.services import deletes, labels, repositories, tags

_TAGS_SHOWN = 3
_LABELS_OFFERED = 200
_DELETED_AS_WELL = gettext_lazy(
    "Their tags and accessories go as well, and of an index the images that nothing else needs."
)
_PART_OF_A_DIGEST = re.compile("(s?h?a?(256|512)?:)?[0-9a-f]*")


class DigestConverter(StringConverter):
    """A digest in an address; repository names hold no colon, so the two never mix."""

    regex = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"


register_converter(DigestConverter, "digest")


class DescriptionForm(forms.Form):
    """What a repository is for."""

    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=10_000,
        required=False,
        help_text=gettext_lazy("Markdown. HTML is shown as text, pictures are not shown."),
        widget=forms.Textarea(attrs={"rows": 8}),
    )


class TaggedFilter(admin.SimpleListFilter):
    """With or without a tag."""

    title = gettext_lazy("Tags")
    parameter_name = "tagged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("Tagged")), ("no", gettext_lazy("Untagged"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> QuerySet[Artifact]:
        tagged = Exists(Tag.objects.filter(artifact=OuterRef("pk")))
        if self.value() == "yes":
            return queryset.filter(tagged)
        return queryset.filter(~tagged) if self.value() == "no" else queryset


class TypeFilter(admin.SimpleListFilter):
    """By what it is."""

    title = gettext_lazy("Type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> QuerySet[Artifact]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class LabelFilter(admin.SimpleListFilter):
    """By a label of the project or the system that some artifact has."""

    title = gettext_lazy("Label")
    parameter_name = "label"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        project = scope.current(request).project
        used = ArtifactLabel.objects.filter(label=OuterRef("pk"))
        offered = Label.objects.filter(Exists(used), space__in=[0, project.pk])
        return [(str(pk), name) for pk, name in offered.values_list("pk", "name")[:_LABELS_OFFERED]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> QuerySet[Artifact]:
        chosen = self.value()
        if not chosen:
            return queryset
        if chosen not in dict(self.lookup_choices):
            return queryset.none()
        return queryset.filter(Exists(ArtifactLabel.objects.filter(artifact=OuterRef("pk"), label=int(chosen))))


def signed_badges(makers: Iterable[str]) -> str:
    return format_html_join(" ", '<span class="badge role">{}</span>', ((maker,) for maker in sorted(makers)))


@admin.register(Artifact)
class ArtifactAdmin(ProjectPartAdmin[Artifact]):
    """Pages below a repository's address."""

    view_action = "artifact:list"
    list_display = (
        "artifact",
        "tag_names",
        "kind",
        "platform",
        "signed",
        "attached",
        "size_shown",
        "label_names",
        "pushed",
        "pulled",
        "copied",
    )
    list_filter = (TaggedFilter, TypeFilter, LabelFilter)
    search_fields = ("digest", "tags__name")
    ordering = ("-push_time", "-id")
    actions = ("label_chosen", "delete_chosen")
    action_bar = "registry/artifact_actions.html"
    empty_text = gettext_lazy("No artifact yet.")
    change_list_template = "registry/artifacts.html"

    def get_urls(self) -> list[URLPattern]:
        base = "projects/<str:project>/repositories/<path:repository>"
        inside = self.in_repository
        return [
            path(f"{base}@<digest:digest>/", inside(self.artifact_page, "artifact:read"), name="artifact"),
            path(f"{base}@<digest:digest>/accessories/", inside(self.accessories), name="accessories"),
            path(f"{base}@<digest:digest>/delete/", inside(self.delete, "artifact:delete"), name="delete_artifact"),
            path(f"{base}@<digest:digest>/copy/", inside(self.copy, "artifact:read"), name="copy_artifact"),
            path(f"{base}@<digest:digest>/tag/", inside(self.add_tag, "tag:create"), name="add_tag"),
            path(f"{base}@<digest:digest>/untag/", inside(self.remove_tags, "tag:delete"), name="remove_tags"),
            path(f"{base}@<digest:digest>/label/", inside(self.label, "artifact-label:create"), name="label_artifact"),
            path(f"{base}@<digest:digest>/unlabel/", inside(self.unlabel, "artifact-label:delete"), name="unlabel"),
            path(f"{base}/-/description/", inside(self.describe, "repository:update"), name="describe"),
            path(f"{base}/", inside(self.artifacts), name="repository"),
        ]

    def in_repository(self, view: Callable[..., HttpResponse], action: str | None = None) -> Callable[..., Any]:
        """Wrap a view below a repository's address: 404 where the project has none of this name."""

        def inner(request: HttpRequest, repository: str, **kwargs: Any) -> HttpResponse:
            project = scope.current(request).project
            scope.narrow(request, get_object_or_404(Repository, project=project, name=f"{project.name}/{repository}"))
            return view(request, **kwargs)

        return self.in_project(inner, action)

    def has_delete_permission(self, request: HttpRequest, obj: Artifact | None = None) -> bool:
        return scope.current(request).allows("artifact:delete")

    def has_label_permission(self, request: HttpRequest) -> bool:
        return scope.current(request).allows("artifact-label:create")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        rows = listed_artifacts(Artifact.objects.filter(repository=self._repository(request)))
        return rows.select_related("repository").defer("manifest")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Artifact], search_term: str
    ) -> tuple[QuerySet[Artifact], bool]:
        """By tag, or by digest where the word may be part of one, for that reads every row of the repository.

        Tags are looked for first: joined, every artifact would be sorted to find the doubles.
        """
        tags = Tag.objects.filter(repository=self._repository(request))
        for word in search_term.split():
            found = Q(pk__in=tags.filter(name__icontains=word).values("artifact"))
            if _PART_OF_A_DIGEST.fullmatch(word.lower()):
                found |= Q(digest__contains=word.lower())
            queryset = queryset.filter(found)
        return queryset, False

    def _repository(self, request: HttpRequest) -> Repository:
        repository = scope.current(request).parent
        if not isinstance(repository, Repository):
            raise PermissionDenied
        return repository

    def url_of(self, row: Artifact) -> str:
        return artifact_url(row.repository.name, row.digest)

    def complete(self, request: HttpRequest, rows: Sequence[Artifact]) -> None:
        """The newest tags of each artifact on the page and how many there are, whatever their number."""
        ids = [row.pk for row in rows]
        place = Window(RowNumber(), partition_by=[F("artifact")], order_by=[F("push_time").desc(), F("pk").desc()])
        many = Window(Count("pk"), partition_by=[F("artifact")])
        newest = Tag.objects.filter(artifact__in=ids).annotate(place=place, many=many).filter(place__lte=_TAGS_SHOWN)
        names: dict[int, list[str]] = {}
        counts: dict[int, int] = {}
        for artifact, name, count in newest.order_by("place").values_list("artifact", "name", "many"):
            names.setdefault(artifact, []).append(name)
            counts[artifact] = count
        marks: dict[int, list[Label]] = {}
        attached = list(ArtifactLabel.objects.filter(artifact__in=ids).values_list("artifact", "label"))
        # by themselves: joined, MariaDB may begin with the labels and read all that bear them
        for label in Label.objects.filter(pk__in={label for artifact, label in attached}).order_by("name"):
            for artifact in (artifact for artifact, borne in attached if borne == label.pk):
                marks.setdefault(artifact, []).append(label)
        repository, client = self._repository(request), pull_client(request)
        types = accessories.types_of(repository, (row.digest for row in rows))
        for row in rows:
            vars(row).update(
                signed_by={trust.MAKERS[kind] for kind in types.get(row.digest, ()) if kind in trust.MAKERS},
                accessory_count=sum(types.get(row.digest, {}).values()),
                tags_shown=names.get(row.pk, []),
                tag_count=counts.get(row.pk, 0),
                labels_shown=marks.get(row.pk, []),
                pull_line=first_pull_line(row, names.get(row.pk, []), client),
            )

    @admin.display(description=gettext_lazy("Artifact"), ordering="digest")
    def artifact(self, row: Artifact) -> str:
        return format_html('<span class="mono" title="{}">{}</span>', row.digest, short_digest(row.digest))

    @admin.display(description=gettext_lazy("Tags"))
    def tag_names(self, row: Artifact) -> str:
        shown: list[str] = vars(row)["tags_shown"]
        more = vars(row)["tag_count"] - len(shown)
        chips = format_html_join(" ", '<span class="tag" title="{0}">{0}</span>', ((name,) for name in shown))
        if more <= 0:
            return chips
        says = ngettext("{number} more tag", "{number} more tags", more).format(number=more)
        return format_html(
            '{} <a class="more" href="{}#tags" aria-label="{}">+{}</a>', chips, self.url_of(row), says, more
        )

    @admin.display(description=gettext_lazy("Type"), ordering="type")
    def kind(self, row: Artifact) -> str:
        return kind_label(row)

    @admin.display(description=gettext_lazy("OS/ARCH"))
    def platform(self, row: Artifact) -> str:
        return platform_label(row.extra_attrs)

    @admin.display(description=gettext_lazy("Signed by"))
    def signed(self, row: Artifact) -> str:
        return signed_badges(vars(row)["signed_by"]) or "–"

    @admin.display(description=gettext_lazy("Accessories"))
    def attached(self, row: Artifact) -> str:
        if not (number := vars(row)["accessory_count"]):
            return "–"
        rows, page = (artifact_url(row.repository.name, row.digest, view) for view in ("accessories", "artifact"))
        return unfolding(number, accessories.counted(number), rows=rows, page=f"{page}#accessories")

    @admin.display(description=gettext_lazy("Size"), ordering="size")
    def size_shown(self, row: Artifact) -> str:
        return binary_size(row.size)

    @admin.display(description=gettext_lazy("Labels"))
    def label_names(self, row: Artifact) -> str:
        return format_html_join(" ", "{}", ((label_chip(label),) for label in vars(row)["labels_shown"]))

    @admin.display(description=gettext_lazy("Pushed"), ordering="push_time")
    def pushed(self, row: Artifact) -> str:
        return moment(row.push_time)

    @admin.display(description=gettext_lazy("Pulled"), ordering="pull_time")
    def pulled(self, row: Artifact) -> str:
        return moment(row.pull_time) or _("never")

    @admin.display(description=gettext_lazy("Copy"))
    def copied(self, row: Artifact) -> str:
        return copy_buttons(row.digest, vars(row)["pull_line"])

    def artifacts(self, request: HttpRequest) -> HttpResponse:
        repository = self._repository(request)
        may_describe = scope.current(request).allows("repository:update")
        return self.list_page(
            request,
            repository.name,
            heading=repository.name,
            repository=repository,
            crumbs=[(repository.short_name, "")],
            describe_url=repository_url(repository, "describe") if may_describe else None,
            pull_lines=clientlines.pull(repository.name, "TAG", first=pull_client(request)),
            offered=self._usable_labels(request)[:_LABELS_OFFERED] if self.has_label_permission(request) else [],
            action_buttons=[("delete_chosen", _("Delete"))] if self.has_delete_permission(request) else [],
        )

    def _usable_labels(self, request: HttpRequest) -> QuerySet[Label]:
        return Label.objects.filter(space__in=[0, scope.current(request).project.pk])

    @admin.action(permissions=["label"], description=gettext_lazy("Add label"))
    def label_chosen(self, request: HttpRequest, rows: QuerySet[Artifact]) -> None:
        user, chosen = scope.signed_in(request), request.POST.get("label", "")
        if not (chosen.isascii() and chosen.isdigit()):
            self.message_user(request, _("Choose a label."), messages.ERROR)
            return
        add = partial(labels.add_label, label_id=int(chosen), actor=user)
        artifacts = rows.select_related("repository__project")
        self.each(request, artifacts, lambda artifact: add(artifact=artifact), _("{count} changed."), explain)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[Artifact]) -> HttpResponse | None:
        user = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            rows.select_related("repository__project"),
            lambda artifact: deletes.delete_artifact(artifact=artifact, actor=user),
            _("{count} deleted."),
            explain=explain,
            title=_("Delete artifacts?"),
            warning=_DELETED_AS_WELL,
            submit_label=_("Delete"),
        )

    def describe(self, request: HttpRequest) -> HttpResponse:
        repository, user = self._repository(request), scope.signed_in(request)
        return form_page(
            self.admin_site,
            request,
            DescriptionForm(scope.posted(request), initial={"description": repository.description}),
            lambda data: repositories.describe(repository=repository, description=data["description"], actor=user),
            title=_("Description of {name}").format(name=repository.name),
            success=_("The description has been saved."),
            next_url=repository_url(repository),
            crumbs=[(repository.short_name, repository_url(repository)), (_("Description"), "")],
            heading=repository.name,
        )

    def artifact_page(self, request: HttpRequest, digest: str, tag_form: tagging.TagForm | None = None) -> HttpResponse:
        repository, here = self._repository(request), scope.current(request)
        artifact = self._artifact(request, digest)
        children = list(artifact.children.all())
        in_repository = Artifact.objects.filter(repository=repository)
        sizes = dict(in_repository.filter(digest__in=[c.digest for c in children]).values_list("digest", "size"))
        indexes = Artifact.objects.filter(repository=repository, children__digest=digest)
        above = [
            (short_digest(each), artifact_url(repository.name, each))
            for each in indexes.values_list("digest", flat=True)[:1]
        ]
        return self.page(
            request,
            "registry/artifact.html",
            title=f"{repository.name}@{short_digest(digest)}",
            heading=f"{repository.name}@{short_digest(digest)}",
            crumbs=[(repository.short_name, repository_url(repository)), *above, (short_digest(digest), "")],
            repository=repository,
            artifact=artifact,
            kind=kind_label(artifact),
            **self._labels(request, artifact),
            additions=parts.of(artifact) if here.allows("artifact-addition:read") else [],
            platform=platform_label(artifact.extra_attrs),
            signed=signed_badges(trust.who_signed(repository.pk, digest)),
            **tagging.on_page(request, artifact),
            tag_form=(tag_form or tagging.TagForm()) if here.allows("tag:create") else None,
            may_remove_tags=here.allows("tag:delete"),
            may_copy=request.user.is_authenticated and not artifact.is_accessory,
            children=[(child, platform_label(child.platform), sizes.get(child.digest)) for child in children],
            accessories=accessories.attached_to(repository, digest),
            may_delete=here.allows("artifact:delete"),
            attributes=plain_pairs(artifact.extra_attrs),
            manifest=bytes(artifact.manifest).decode(errors="replace"),
        )

    def _artifact(self, request: HttpRequest, digest: str) -> Artifact:
        rows = Artifact.objects.select_related("repository__project")
        return get_object_or_404(rows, repository=self._repository(request), digest=digest)

    def _labels(self, request: HttpRequest, artifact: Artifact) -> dict[str, Any]:
        """The labels on it, and those that the visitor may still put on it."""
        here = scope.current(request)
        own = list(Label.objects.filter(pk__in=artifact.labelled.values("label")))
        others: list[Label] = []
        if here.allows("artifact-label:create"):
            others = list(self._usable_labels(request).exclude(pk__in=[label.pk for label in own])[:_LABELS_OFFERED])
        return {"labels": own, "other_labels": others, "may_unlabel": here.allows("artifact-label:delete")}

    def label(self, request: HttpRequest, digest: str) -> HttpResponse:
        return self._change_label(request, digest, labels.add_label)

    def unlabel(self, request: HttpRequest, digest: str) -> HttpResponse:
        return self._change_label(request, digest, labels.remove_label)

    def _change_label(self, request: HttpRequest, digest: str, change: Callable[..., None]) -> HttpResponse:
        artifact, chosen = self._artifact(request, digest), request.POST.get("label", "")
        if request.method == "POST" and chosen.isascii() and chosen.isdigit():
            try:
                change(artifact=artifact, label_id=int(chosen), actor=scope.signed_in(request))
            except AppError as error:
                messages.error(request, explain(error))
        return HttpResponseRedirect(artifact_url(artifact.repository.name, digest))

    def accessories(self, request: HttpRequest, digest: str) -> HttpResponse:
        columns = len(self.get_list_display(request)) + bool(self.get_actions(request))
        return accessories.rows_below(request, self._artifact(request, digest), columns)

    def delete(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Delete one artifact or accessory; asks first, and goes on to what is left."""
        artifact = self._artifact(request, digest)
        here, repository = artifact_url(artifact.repository.name, digest), artifact.repository
        if request.method != "POST":
            return self.page(
                request,
                "portal/confirmation.html",
                title=_("Delete artifact?"),
                rows=[artifact],
                warning=_DELETED_AS_WELL,
                submit_label=_("Delete"),
                back_url=here,
            )
        try:
            deletes.delete_artifact(artifact=artifact, actor=scope.signed_in(request))
        except AppError as error:
            messages.error(request, f"{artifact}: {explain(error)}")
            return HttpResponseRedirect(here)
        messages.success(request, _("{count} deleted.").format(count=1))
        subject = Artifact.objects.filter(repository=repository, digest=artifact.subject_digest).exists()
        left = artifact_url(repository.name, artifact.subject_digest) if subject else repository_url(repository)
        return HttpResponseRedirect(left)

    def copy(self, request: HttpRequest, digest: str) -> HttpResponse:
        return copying.page(self.admin_site, request, self._artifact(request, digest))

    def add_tag(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Give the artifact one more name."""
        artifact, form = self._artifact(request, digest), tagging.TagForm(scope.posted(request))
        if form.is_valid():
            try:
                tags.create(artifact=artifact, name=form.cleaned_data["name"], actor=scope.signed_in(request))
            except AppError as error:
                form.add_error("name", explain(error))
            else:
                messages.success(request, _("The tag has been added."))
                return HttpResponseRedirect(artifact_url(artifact.repository.name, digest))
        return self.artifact_page(request, digest, form)

    def remove_tags(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Take names away; asks first."""
        artifact = self._artifact(request, digest)
        back = artifact_url(artifact.repository.name, digest)
        chosen = list(artifact.tags.filter(name__in=request.POST.getlist("_selected_action")))
        if request.method != "POST" or not chosen:
            return HttpResponseRedirect(back)
        if "confirmed" not in request.POST:
            return self.page(
                request,
                "registry/remove_tags.html",
                title=_("Remove tags?"),
                rows=chosen,
                warning=_("The artifact stays and can still be pulled by its digest."),
                submit_label=_("Remove"),
                back_url=back,
            )
        user = scope.signed_in(request)
        self.each(request, chosen, lambda tag: tags.delete(tag=tag, actor=user), _("{count} removed."), explain)
        return HttpResponseRedirect(back)
