"""Artifacts: lists, one, copies, accessories, additions and labels."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from django.db.models import Exists, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from rest_framework.request import Request

from harborsite.api import body, parameters, query
from harborsite.api.answers import Answer, Content, Created, Done, Paged
from harborsite.api.listing import Listing, listed
from harborsite.api.paging import paged
from harborsite.api.query import AllOf, Column, Exact, Fuzzy, Term, to_number, to_time
from harborsite.db.prepared import prepared_models
from harborsite.errors import BadRequest, NotFound, Unprocessable
from projects.api.base import ANYONE, ApiView, ProjectView, named_project, refuse, require
from registry import icons
from registry.api.rendering import ShownAccessory, ShownArtifact, Wanted, render_accessory, render_artifacts
from registry.models import Artifact, ArtifactLabel, Tag
from registry.models.artifact import ArtifactQuerySet
from registry.services import additions, copies, deletes, labels

COLUMNS = {
    "id": Column("pk", to_number),
    "type": Column("type"),
    "media_type": Column("media_type"),
    "manifest_media_type": Column("manifest_media_type"),
    "artifact_type": Column("artifact_type"),
    "digest": Column("digest"),
    "size": Column("size", to_number),
    "repository_id": Column("repository_id", to_number),
    "repository_name": Column("repository__name"),
    "push_time": Column("push_time", to_time),
    "pull_time": Column("pull_time", to_time),
}
ADDITIONS = ("build_history", "values.yaml", "readme.md", "dependencies", "sbom", "license", "files")
_ROWS = Artifact.objects.select_related("repository").defer("manifest")


def find(repository_name: str, reference: str) -> Artifact:
    """The artifact behind a digest or a tag of the repository of that full name."""
    mark, statement = ("@", _at_digest) if ":" in reference else (":", _at_tag)
    found: list[Artifact] = statement(repository_name, reference)
    if not found:
        raise NotFound(f"artifact {repository_name[:300]}{mark}{reference[:200]} not found")
    return found[0]


@prepared_models
def _at_digest(repository: str, digest: str) -> QuerySet[Artifact]:
    return _ROWS.order_by().filter(repository__name=repository, digest=digest)


@prepared_models
def _at_tag(repository: str, tag: str) -> QuerySet[Artifact]:
    return _ROWS.order_by().filter(tags__repository__name=repository, tags__name=tag)


def _listed(repository: str) -> QuerySet[Artifact]:
    return _ROWS.filter(repository__name=repository).listed()


_LISTING = Listing(_listed, COLUMNS, ("-push_time", "-pk"))


class ArtifactBase(ProjectView):
    """A view of one artifact: `self.artifact` is found when it is asked for."""

    @property
    def repository_name(self) -> str:
        return f"{self.project.name}/{self.kwargs['repository_name']}"

    @property
    def artifact(self) -> Artifact:
        return find(self.repository_name, self.kwargs["reference"])


def filtered(shown: ArtifactQuerySet, request: Request) -> QuerySet[Artifact]:
    """The artifacts as `q` and `sort` want them, with the keys that only artifacts have."""
    terms = dict(query.parse(request.GET.get("q", "")))
    base, tags, labelled = (terms.pop(key, None) for key in ("base", "tags", "labels"))
    with_parts = isinstance(base, Exact) and base.value == "*"
    rows: QuerySet[Artifact] = shown.filter(accessory_type="") if with_parts else shown.listed()
    if tags is not None:
        rows = _by_tag(rows, tags)
    if labelled is not None:
        rows = _by_labels(rows, labelled)
    rows = query.filtered(rows, terms, COLUMNS)
    return query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-push_time", "-pk"))


def _by_tag(rows: QuerySet[Artifact], term: Term) -> QuerySet[Artifact]:
    own = Tag.objects.filter(artifact=OuterRef("pk"))  # by artifact: there may be more tags of a name than artifacts
    match term:
        case Exact("*"):
            return rows.filter(Exists(own))
        case Exact("nil"):
            return rows.filter(~Exists(own))
        case Exact(name):
            return rows.filter(Exists(own.filter(name=name)))
        case Fuzzy(part):
            return rows.filter(Exists(own.filter(name__icontains=part)))
        case _:
            raise BadRequest('the value of "tags" can only be "*", "nil", exact or fuzzy')


def _by_labels(rows: QuerySet[Artifact], term: Term) -> QuerySet[Artifact]:
    if not isinstance(term, AllOf):
        raise BadRequest('the value of "labels" can only be an and-list: labels=(1 2)')
    for value in term.values:
        rows = rows.filter(
            Exists(ArtifactLabel.objects.filter(artifact=OuterRef("pk"), label_id=query.to_number(value)))
        )
    return rows


class ArtifactsView(ArtifactBase):
    actions = {"GET": "artifact:list", "POST": "artifact:create"}

    def authorise(self, action: str) -> None:
        """An administrator's list of a project that is not there is empty, and no error."""
        found = self.find_project()
        if found is not None or not self.who.is_superuser or self.request.method == "POST":
            self.admit(action, found)

    def get(self, request: Request, project_name_or_id: str, repository_name: str) -> Paged[ShownArtifact]:
        project, wanted = getattr(self, "project", None), Wanted.of(request)

        def render(found: Sequence[Artifact]) -> list[ShownArtifact]:
            return render_artifacts(found, wanted)

        if project and not request.GET.get("q"):
            return listed(request, _LISTING, render, self.repository_name)
        rows = _ROWS.filter(repository__name=self.repository_name) if project else _ROWS.none()
        return paged(request, filtered(rows, request), render)

    def post(self, request: Request, project_name_or_id: str, repository_name: str) -> Created:
        """Copy `from=project/repository:tag` or `…@digest` into this repository."""
        given = parameters.required(request, "from")
        name, mark, reference = given.partition("@")
        if not mark:
            name, _, reference = given.rpartition(":")
        source_project = named_project(name.partition("/")[0], by_name=True)
        if source_project is not None:
            require(self.who, "artifact:read", source_project)
        elif not self.who.is_superuser:
            refuse(self.who, None, name)
        try:
            source = find(name, reference)
        except NotFound:
            raise BadRequest(f"artifact {given[:300]} not found") from None
        copies.copy(source=source, project=self.project, repository_name=self.repository_name, actor=self.who)
        place = f"/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name.replace('/', '%252F')}"
        return Created(f"{place}/artifacts/{reference}")


class ProjectArtifactsView(ProjectView):
    """Artifacts of all repositories of a project, or the newest of each."""

    actions = {"GET": "artifact:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownArtifact]:
        rows: QuerySet[Artifact] = filtered(_ROWS.filter(repository__project=self.project), request)
        if parameters.flag(request, "latest_in_repository", False):
            rows = _latest(rows, query.parse(request.GET.get("q", "")))
        wanted = Wanted.of(request)
        return paged(request, rows, lambda found: render_artifacts(found, wanted))


def _latest(rows: QuerySet[Artifact], terms: Mapping[str, Term]) -> QuerySet[Artifact]:
    if ("media_type" in terms) == ("artifact_type" in terms):
        raise BadRequest(
            "either 'media_type' or 'artifact_type' must be specified, but not both, when querying with "
            "latest_in_repository"
        )
    ranked = rows.order_by().annotate(
        rank=Window(RowNumber(), partition_by="repository", order_by=["-push_time", "-pk"])
    )
    return rows.filter(pk__in=ranked.filter(rank=1).values("pk"))


class ArtifactView(ArtifactBase):
    actions = {"GET": "artifact:read", "DELETE": "artifact:delete"}

    def get(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str
    ) -> Answer[ShownArtifact]:
        return Answer(render_artifacts([self.artifact], Wanted.of(request))[0])

    def delete(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Done:
        deletes.delete_artifact(artifact=self.artifact, actor=self.who)
        return Done()


class AccessoriesView(ArtifactBase):
    actions = {"GET": "accessory:list"}
    columns = {**COLUMNS, "type": Column("accessory_type"), "creation_time": Column("push_time", to_time)}

    def get(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str
    ) -> Paged[ShownAccessory]:
        subject = self.artifact
        held = _ROWS.filter(~Q(accessory_type=""), repository=subject.repository_id, subject_digest=subject.digest)
        rows: QuerySet[Artifact] = query.filtered(held, query.parse(request.GET.get("q", "")), self.columns)
        rows = query.ordered(rows, request.GET.get("sort", ""), self.columns, ("pk",))
        return paged(request, rows, lambda found: [render_accessory(each, subject) for each in found])


class AdditionView(ArtifactBase):
    actions = {"GET": "artifact-addition:read"}

    def get(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str, addition: str
    ) -> Content:
        name = addition.lower()
        if name not in ADDITIONS:
            raise Unprocessable(f"addition in path should be one of [{' '.join(ADDITIONS)}]")
        content = additions.read(self.artifact, name)
        return Content(content, content_type=additions.MEDIA_TYPES[name], headers=_INERT)


_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}  # somebody's upload, not ours


@dataclass(frozen=True, slots=True)
class LabelReference:
    id: int = 0


class ArtifactLabelsView(ArtifactBase):
    actions = {"POST": "artifact-label:create"}

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Done:
        label_id = body.read(request, LabelReference).id
        labels.add_label(artifact=self.artifact, label_id=label_id, actor=self.who)
        return Done()


class ArtifactLabelView(ArtifactBase):
    actions = {"DELETE": "artifact-label:delete"}

    def delete(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str, label_id: int
    ) -> Done:
        labels.remove_label(artifact=self.artifact, label_id=label_id, actor=self.who)
        return Done()


Icon = TypedDict("Icon", {"content-type": str, "content": str})


class IconView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request, digest: str) -> Answer[Icon]:
        picture = icons.picture(digest)
        if picture is None:
            raise NotFound(f"icon {digest[:100]} not found")
        shape: Icon = {"content-type": "image/png", "content": base64.b64encode(picture).decode()}
        return Answer(shape)
