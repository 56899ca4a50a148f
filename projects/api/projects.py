"""Projects and their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NotRequired, TypeAlias, TypedDict

from django.db.models import Count, QuerySet
from rest_framework.request import Request

from harborsite.api import body, parameters
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.listing import Listing, listed
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import ZERO_TIME, stamp
from harborsite.db.prepared import gathered, prepared, prepared_models
from harborsite.errors import BadRequest, Forbidden, NotFound
from harborsite.principal import Principal
from projects import params
from projects.api.base import ANYONE, SIGNED_IN, ApiView, ProjectView
from projects.models import CVEAllowlist, Project, User
from projects.permissions import Role, can, can_system, highest_role
from projects.services import allowlists, lifecycle, metadata

COLUMNS = {
    "project_id": Column("pk", to_number),
    "name": Column("name"),
    "owner_id": Column("owner_id", to_number),
    "public": Column("public", to_flag),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class AllowlistItem:
    cve_id: str = ""


@dataclass(frozen=True, slots=True)
class Allowlist:
    project_id: int = 0
    expires_at: int | None = None
    items: list[AllowlistItem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProjectRequest:
    project_name: str = ""
    public: bool | None = None
    metadata: dict[str, str | None] = field(default_factory=dict)
    cve_allowlist: Allowlist | None = None
    storage_limit: int | None = None
    registry_id: int | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The settings that we know, without those left open; `public` is told apart."""
        kept = {key: value for key, value in self.metadata.items() if key in metadata.KEYS and value is not None}
        kept.pop("public", None)
        return kept


class Vulnerability(TypedDict):
    cve_id: str


class ShownAllowlist(TypedDict):
    id: NotRequired[int]
    project_id: NotRequired[int]
    expires_at: NotRequired[int]
    items: list[Vulnerability] | None
    creation_time: Time
    update_time: Time


if TYPE_CHECKING:
    ShownMetadata: TypeAlias = dict[str, str]
else:  # a member for each setting, as the list of settings has them
    ShownMetadata = TypedDict("ShownMetadata", {"public": str} | dict.fromkeys(metadata.OPTIONAL, NotRequired[str]))


class ShownProject(TypedDict):
    """The owner's name, the settings and the whole allowlist are left out where no details are asked for."""

    project_id: int
    name: str
    owner_id: int
    owner_name: NotRequired[str]
    repo_count: int
    metadata: NotRequired[ShownMetadata]
    cve_allowlist: ShownAllowlist
    current_user_role_id: NotRequired[int]
    current_user_role_ids: list[int] | None
    creation_time: Time
    update_time: Time


class Deletable(TypedDict):
    deletable: NotRequired[bool]
    message: NotRequired[str]


class Storage(TypedDict):
    storage: int


class QuotaOfProject(TypedDict):
    hard: Storage
    used: Storage


class Summary(TypedDict):
    """The quota and the members are for those who may read them; a role without members is left out."""

    repo_count: int
    quota: NotRequired[QuotaOfProject]
    project_admin_count: NotRequired[int]
    maintainer_count: NotRequired[int]
    developer_count: NotRequired[int]
    guest_count: NotRequired[int]
    limited_guest_count: NotRequired[int]


def render_allowlist(kept: CVEAllowlist | None, project_id: int | None) -> ShownAllowlist:
    shape: ShownAllowlist = {
        "id": kept.pk if kept else 0,
        "items": [{"cve_id": identifier} for identifier in kept.items] if kept else [],
        "creation_time": stamp(kept.creation_time) if kept else ZERO_TIME,
        "update_time": stamp(kept.update_time) if kept else ZERO_TIME,
    }
    if project_id:
        shape["project_id"] = project_id
    if kept and kept.expires_at is not None:
        shape["expires_at"] = kept.expires_at
    return shape


def render(project: Project, who: Principal, repo_count: int) -> ShownProject:
    """One project as `who` sees it, without details."""
    roles = _roles(project, who)
    shape: ShownProject = {
        "project_id": project.pk,
        "name": project.name,
        "owner_id": project.owner_id,
        "repo_count": repo_count,
        "cve_allowlist": {"items": None, "creation_time": ZERO_TIME, "update_time": ZERO_TIME},
        "current_user_role_ids": sorted(roles) or None,
        "creation_time": stamp(project.creation_time),
        "update_time": stamp(project.update_time),
    }
    if roles:
        shape["current_user_role_id"] = highest_role(roles)
    return shape


def render_whole(projects: Sequence[Project], who: Principal) -> list[ShownProject]:
    """The projects of a page with their details; each kind of detail is read once."""
    pks = [project.pk for project in projects]
    counts, settings = repository_counts(projects), metadata.of_projects(projects)
    owners = dict(gathered(_usernames, sorted({project.owner_id for project in projects})))
    lists = {kept.project_id: kept for kept in gathered(_allowlists, pks)}
    return [
        {
            **render(project, who, counts.get(project.pk, 0)),
            "owner_name": owners[project.owner_id],
            "metadata": settings[project.pk],
            "cve_allowlist": render_allowlist(lists.get(project.pk), project.pk),
        }
        for project in projects
    ]


@prepared
def _usernames(users: list[int]) -> QuerySet[User, tuple[int, str]]:
    return User.objects.order_by().filter(pk__in=users).values_list("pk", "username")


@prepared_models
def _allowlists(projects: list[int]) -> QuerySet[CVEAllowlist]:
    return CVEAllowlist.objects.filter(project__in=projects)


def _roles(project: Project, who: Principal) -> set[int]:
    """An administrator counts as a member of every project."""
    roles = set(who.roles_in(project)) if isinstance(who, User) else set()
    return roles | {Role.PROJECT_ADMIN} if who.is_superuser else roles


def repository_counts(projects: Sequence[Project]) -> Mapping[int, int]:
    return dict(gathered(_repository_counts, [project.pk for project in projects]))


@prepared
def _repository_counts(projects: list[int]) -> QuerySet[Project, tuple[int, int]]:
    rows = Project.objects.filter(pk__in=projects).order_by()
    return rows.annotate(count=Count("repositories")).values_list("pk", "count")


def visible(who: Principal) -> QuerySet[Project]:
    """What `who` finds in a list of projects."""
    return Project.objects.all() if sees_all(who) else Project.objects.visible_to(who)


def sees_all(who: Principal) -> bool:
    return can_system(who, "project:list")


def _all() -> QuerySet[Project]:
    return Project.objects.all()


_LISTING = Listing(_all, COLUMNS, ("name",))


class ProjectsView(ApiView):
    actions = {"GET": ANYONE, "HEAD": SIGNED_IN, "POST": SIGNED_IN}

    def get(self, request: Request) -> Paged[ShownProject]:
        who, detail = self.who, parameters.flag(request, "with_detail", True)

        def rendered(projects: Sequence[Project]) -> list[ShownProject]:
            return render_whole(projects, who) if detail else [render(project, who, 0) for project in projects]

        return listed(request, _LISTING, rendered, narrow=self._narrowing(request))

    def _narrowing(self, request: Request) -> Callable[[QuerySet[Project]], QuerySet[Project]] | None:
        name, owner, public = request.GET.get("name"), request.GET.get("owner"), parameters.flag(request, "public")
        if sees_all(self.who) and not name and not owner and public is None:
            return None

        def narrowed(rows: QuerySet[Project]) -> QuerySet[Project]:
            if not sees_all(self.who):
                rows = rows.filter(pk__in=Project.objects.visible_to(self.who).values("pk"))
            if name:
                rows = rows.filter(name__icontains=name)
            if owner:
                rows = rows.filter(owner__username=owner)
            return rows if public is None else rows.filter(public=public)

        return narrowed

    def head(self, request: Request) -> Done:
        """Whether a name is taken; told to everybody with an account."""
        name = parameters.required(request, "project_name")
        if not Project.objects.filter(name=name).exists():
            raise NotFound(f"project {name[:100]} not found")
        return Done()

    def post(self, request: Request) -> Created:
        new = body.read(request, ProjectRequest)
        if not lifecycle.may_create_project(self.who):
            raise Forbidden("Only system admin can create project")
        if new.registry_id is not None:
            self._refuse_proxy(new.registry_id)
        if new.settings.pop("retention_id", None):
            raise BadRequest("metadata.retention_id should not be provided when create project")
        project = lifecycle.create_project(
            name=new.project_name,
            public=self._wanted_public(new),
            actor=self.who,
            storage_limit=new.storage_limit,
            metadata={key: value for key, value in new.settings.items() if key not in metadata.OF_PROXIES},
        )
        if new.cve_allowlist and new.cve_allowlist.items:
            _set_allowlist(project, new.cve_allowlist, self.who)
        by_name = request.headers.get("X-Resource-Name-In-Location", "").lower() == "true"
        return Created(f"/api/v2.0/projects/{project.name if by_name else project.pk}")

    def _refuse_proxy(self, registry_id: int) -> None:
        if not can_system(self.who, "project:create"):
            raise Forbidden("Only system admin can create proxy cache project")
        raise BadRequest(f"registry {registry_id} not found")

    def _wanted_public(self, new: ProjectRequest) -> bool:
        asked = new.metadata.get("public")
        if asked is None:
            return bool(new.public)
        if asked not in {"true", "false"}:
            raise BadRequest(f"invalid value: {asked[:100]}")
        return asked == "true"


class OneProjectView(ProjectView):
    actions = {"GET": "project:read", "PUT": "project:update", "DELETE": "project:delete"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[ShownProject]:
        return Answer(render_whole([self.project], self.who)[0])

    def put(self, request: Request, project_name_or_id: str) -> Done:
        new = body.read(request, ProjectRequest)
        settings = new.settings
        if settings.pop("retention_id", None) not in {None, metadata.of_project(self.project).get("retention_id")}:
            raise BadRequest("the retention_id in the request's payload is different from the stored one")
        asked = new.metadata.get("public")
        lifecycle.update_project(
            project=self.project,
            actor=self.who,
            public=new.public if asked is None else metadata.is_true(asked),
            metadata={key: value for key, value in settings.items() if key not in metadata.OF_PROXIES},
        )
        if new.cve_allowlist is not None:
            _set_allowlist(self.project, new.cve_allowlist, self.who)
        return Done()

    def delete(self, request: Request, project_name_or_id: str) -> Done:
        lifecycle.delete_project(project=self.project, actor=self.who)
        return Done()


class DeletableView(ProjectView):
    actions = {"GET": "project:delete"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[Deletable]:
        if self.project.repositories.exists():
            return Answer({"message": "the project contains repositories, can not be deleted"})
        return Answer({"deletable": True})


class SummaryView(ProjectView):
    actions = {"GET": "project:read"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[Summary]:
        shape: Summary = {"repo_count": self.project.repositories.count()}
        if can(self.who, "quota:read", self.project) and params.get(params.QUOTA_PER_PROJECT_ENABLE):
            quota = self.project.quota
            shape["quota"] = {"hard": {"storage": quota.hard}, "used": {"storage": quota.used}}
        if can(self.who, "member:list", self.project):
            shape.update(self._members())
        return Answer(shape)

    def _members(self) -> Any:
        """How many have each role; one that nobody has is left out."""
        names = {
            Role.PROJECT_ADMIN: "project_admin_count",
            Role.MAINTAINER: "maintainer_count",
            Role.DEVELOPER: "developer_count",
            Role.GUEST: "guest_count",
            Role.LIMITED_GUEST: "limited_guest_count",
        }
        rows = self.project.members.values_list("role").annotate(count=Count("pk"))
        return {names[Role(role)]: count for role, count in rows}


class MetadatasView(ProjectView):
    actions = {"GET": "metadata:list", "POST": "metadata:create"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[ShownMetadata]:
        return Answer(metadata.of_project(self.project))

    def post(self, request: Request, project_name_or_id: str) -> Done:
        metadata.add(project=self.project, values=body.read(request, dict[str, str]), actor=self.who)
        return Done()


class MetadataView(ProjectView):
    actions = {"GET": "metadata:read", "PUT": "metadata:update", "DELETE": "metadata:delete"}

    def get(self, request: Request, project_name_or_id: str, meta_name: str) -> Answer[dict[str, str]]:
        settings = metadata.of_project(self.project)
        return Answer({meta_name: settings[meta_name]} if meta_name in settings else {})

    def put(self, request: Request, project_name_or_id: str, meta_name: str) -> Done:
        values = body.read(request, dict[str, str])
        metadata.change(project=self.project, name=meta_name, value=values.get(meta_name, ""), actor=self.who)
        return Done()

    def delete(self, request: Request, project_name_or_id: str, meta_name: str) -> Done:
        if meta_name == "retention_id":
            raise BadRequest("retention_id is read only")
        lifecycle.remove_metadata(project=self.project, name=meta_name, actor=self.who)
        return Done()


class SystemAllowlistView(ApiView):
    actions = {"GET": SIGNED_IN, "PUT": "configuration:update"}

    def get(self, request: Request) -> Answer[ShownAllowlist]:
        return Answer(render_allowlist(CVEAllowlist.objects.filter(project=None).first(), None))

    def put(self, request: Request) -> Done:
        _set_allowlist(None, body.read(request, Allowlist), self.who)
        return Done()


def _set_allowlist(project: Project | None, new: Allowlist, who: Principal) -> None:
    if new.project_id not in {0, project.pk if project else 0}:
        raise BadRequest("project_id needs to match the project")
    allowlists.set_allowlist(
        project=project, items=[item.cve_id for item in new.items], expires_at=new.expires_at, actor=who
    )
