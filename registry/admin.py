"""The pages of repositories and of the artifacts in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, register_converter, reverse
from django.urls.converters import StringConverter
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite import config
from harborsite.portal import scope
from harborsite.portal.pages import ProjectPartAdmin
from harborsite.portal.templatetags.portal import binary_size, moment, short_digest
from registry import clientlines
from registry.models import Artifact, ArtifactChild, Repository, Tag

_TAGS_SHOWN = 3


class DigestConverter(StringConverter):
    """A digest in an address; repository names hold no colon, so the two never mix."""

    regex = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"


register_converter(DigestConverter, "digest")


def repository_url(repository: Repository) -> str:
    project, _slash, short = repository.name.partition("/")
    return reverse("admin:repository", args=[project, short])


def artifact_url(repository_name: str, digest: str) -> str:
    project, _slash, short = repository_name.partition("/")
    return reverse("admin:artifact", args=[project, short, digest])


@admin.register(Repository)
class RepositoryAdmin(ProjectPartAdmin[Repository]):
    """The Repositories tab."""

    view_action = "repository:list"
    list_display = ("short_name", "artifact_count", "pulls", "modified")
    search_fields = ("name",)
    ordering = ("-update_time",)
    empty_text = gettext_lazy("No repository yet: the first push makes one.")
    change_list_template = "registry/repositories.html"

    def get_urls(self) -> list[URLPattern]:
        return [path("projects/<str:project>/repositories/", self.in_project(self.repositories), name="repositories")]

    def url_of(self, row: Repository) -> str:
        return repository_url(row)

    def complete(self, request: HttpRequest, rows: Sequence[Repository]) -> None:
        listed = listed_artifacts(Artifact.objects.filter(repository__in=[row.pk for row in rows]))
        counts = dict(listed.values_list("repository").annotate(Count("pk")).order_by())
        for row in rows:
            vars(row)["artifact_count"] = counts.get(row.pk, 0)

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
        return self.list_page(request, _("Repositories"), push_lines=lines)


def listed_artifacts(rows: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """What a list shows: no accessories, and of an index's parts only those with a tag of their own."""
    part_of_an_index = ArtifactChild.objects.filter(
        digest=OuterRef("digest"), artifact__repository=OuterRef("repository")
    )
    tagged = Tag.objects.filter(artifact=OuterRef("pk"))
    return rows.filter(Q(accessory_type=""), ~Exists(part_of_an_index) | Exists(tagged))


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


@admin.register(Artifact)
class ArtifactAdmin(ProjectPartAdmin[Artifact]):
    """The artifacts of one repository, and one artifact."""

    view_action = "artifact:list"
    list_display = ("artifact", "tag_names", "kind", "platform", "size_shown", "pushed", "pulled")
    list_filter = (TaggedFilter,)
    search_fields = ("digest", "tags__name")
    ordering = ("-push_time", "-id")
    empty_text = gettext_lazy("No artifact yet.")
    change_list_template = "registry/artifacts.html"

    def get_urls(self) -> list[URLPattern]:
        base = "projects/<str:project>/repositories/<path:repository>"
        return [
            path(f"{base}@<digest:digest>/", self.in_repository(self.artifact_page, "artifact:read"), name="artifact"),
            path(f"{base}/", self.in_repository(self.artifacts), name="repository"),
        ]

    def in_repository(self, view: Callable[..., HttpResponse], action: str | None = None) -> Callable[..., Any]:
        """Wrap a view below a repository's address: 404 where the project has none of this name."""

        def inner(request: HttpRequest, repository: str, **kwargs: Any) -> HttpResponse:
            project = scope.current(request).project
            scope.narrow(request, get_object_or_404(Repository, project=project, name=f"{project.name}/{repository}"))
            return view(request, **kwargs)

        return self.in_project(inner, action)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        repository: Repository = scope.current(request).parent
        return listed_artifacts(Artifact.objects.filter(repository=repository)).defer("manifest")

    def url_of(self, row: Artifact) -> str:
        return artifact_url(vars(row)["repository_name"], row.digest)

    def complete(self, request: HttpRequest, rows: Sequence[Artifact]) -> None:
        """The newest tags of each artifact on the page and how many there are, whatever their number."""
        repository: Repository = scope.current(request).parent
        ids = [row.pk for row in rows]
        counts = dict(Tag.objects.filter(artifact__in=ids).values_list("artifact").annotate(Count("pk")).order_by())
        place = Window(RowNumber(), partition_by=[F("artifact")], order_by=[F("push_time").desc(), F("pk").desc()])
        newest = Tag.objects.filter(artifact__in=ids).annotate(place=place).filter(place__lte=_TAGS_SHOWN)
        names: dict[int, list[str]] = {}
        for artifact, name in newest.order_by("place").values_list("artifact", "name"):
            names.setdefault(artifact, []).append(name)
        for row in rows:
            vars(row).update(
                repository_name=repository.name, tags_shown=names.get(row.pk, []), tag_count=counts.get(row.pk, 0)
            )

    @admin.display(description=gettext_lazy("Artifact"), ordering="digest")
    def artifact(self, row: Artifact) -> str:
        return format_html('<span class="mono" title="{}">{}</span>', row.digest, short_digest(row.digest))

    @admin.display(description=gettext_lazy("Tags"))
    def tag_names(self, row: Artifact) -> str:
        shown: list[str] = vars(row)["tags_shown"]
        more = vars(row)["tag_count"] - len(shown)
        chips = format_html_join(" ", '<span class="tag">{}</span>', ((name,) for name in shown))
        return format_html('{} <span class="more">+{}</span>', chips, more) if more > 0 else chips

    @admin.display(description=gettext_lazy("Type"), ordering="type")
    def kind(self, row: Artifact) -> str:
        return kind_label(row)

    @admin.display(description=gettext_lazy("OS/ARCH"))
    def platform(self, row: Artifact) -> str:
        return platform_label(row.extra_attrs)

    @admin.display(description=gettext_lazy("Size"), ordering="size")
    def size_shown(self, row: Artifact) -> str:
        return binary_size(row.size)

    @admin.display(description=gettext_lazy("Pushed"), ordering="push_time")
    def pushed(self, row: Artifact) -> str:
        return moment(row.push_time)

    @admin.display(description=gettext_lazy("Pulled"), ordering="pull_time")
    def pulled(self, row: Artifact) -> str:
        return moment(row.pull_time) or _("never")

    def artifacts(self, request: HttpRequest) -> HttpResponse:
        repository: Repository = scope.current(request).parent
        return self.list_page(
            request,
            repository.name,
            repository=repository,
            crumbs=[(repository.short_name, "")],
            pull_lines=clientlines.pull(repository.name, "TAG"),
        )

    def artifact_page(self, request: HttpRequest, digest: str) -> HttpResponse:
        repository: Repository = scope.current(request).parent
        artifact = get_object_or_404(Artifact, repository=repository, digest=digest)
        children = list(artifact.children.all())
        present = dict(
            Artifact.objects.filter(repository=repository, digest__in=[child.digest for child in children]).values_list(
                "digest", "size"
            )
        )
        accessories = Artifact.objects.filter(repository=repository, subject_digest=digest).defer("manifest")
        tags = list(artifact.tags.all())
        return self.page(
            request,
            "registry/artifact.html",
            title=f"{repository.name}@{short_digest(digest)}",
            heading=f"{repository.short_name}@{short_digest(digest)}",
            crumbs=[(repository.short_name, repository_url(repository)), (short_digest(digest), "")],
            repository=repository,
            artifact=artifact,
            kind=kind_label(artifact),
            platform=platform_label(artifact.extra_attrs),
            tags=tags,
            children=[(child, platform_label(child.platform), present.get(child.digest)) for child in children],
            accessories=accessories.order_by("-push_time"),
            attributes=_pairs(artifact.extra_attrs),
            pull_lines=clientlines.pull(repository.name, tags[0].name if tags else digest, artifact.type),
            registry_host=config.current().registry_host,
            manifest=bytes(artifact.manifest).decode(errors="replace"),
        )


_KINDS = {
    "IMAGE": gettext_lazy("Image"),
    "CHART": gettext_lazy("Helm chart"),
    "CNAB": gettext_lazy("CNAB bundle"),
    "WASM": gettext_lazy("WASM module"),
    "SBOM": gettext_lazy("SBOM"),
    "CNAI": gettext_lazy("AI model"),
    "UNKNOWN": gettext_lazy("Other"),
}


def kind_label(artifact: Artifact) -> str:
    """What people call the kind of artifact; kinds that came with the artifact itself keep their own name."""
    return str(_KINDS.get(artifact.type, artifact.type))


def platform_label(attributes: dict[str, Any]) -> str:
    """`linux/arm64/v8`, as far as it is known."""
    parts = [attributes.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(str(part) for part in parts if part)


def _pairs(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    """The attributes that are plain values; nested ones are in the manifest below."""
    return [(key, str(value)) for key, value in sorted(attributes.items()) if isinstance(value, str | int | float)]
