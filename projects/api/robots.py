"""Robot accounts, and the catalogue of what they may be granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, CreatedWith, Done, Paged, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, Exact, to_flag, to_number, to_time
from harborsite.api.wire import stamp, without_empty
from harborsite.errors import BadRequest, Forbidden, NotFound
from projects.api.base import ANYONE, SIGNED_IN, ApiView, refuse
from projects.models import Member, Project, Robot, User
from projects.permissions import GRANTABLE_PROJECT, GRANTABLE_SYSTEM, Role, can
from projects.services import robots
from projects.services.robots import Access, Grant

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "description": Column("description"),
    "disable": Column("disable", to_flag),
    "disabled": Column("disable", to_flag),
    "duration": Column("duration", to_number),
    "expires_at": Column("expires_at", to_number),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class AccessRequest:
    resource: str = ""
    action: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class GrantRequest:
    kind: str = ""
    namespace: str = ""
    access: list[AccessRequest] = field(default_factory=list)

    def as_grant(self) -> Grant:
        access: list[Access] = []
        for each in self.access:
            if each.effect not in {"", "allow", "deny"}:
                raise BadRequest(f"bad request permission effect: {each.effect[:100]}")
            one: Access = {"resource": each.resource, "action": each.action}
            access.append({**one, "effect": each.effect} if each.effect else one)
        return {"kind": self.kind, "namespace": self.namespace, "access": access}


@dataclass(frozen=True, slots=True)
class RobotRequest:
    name: str = ""
    description: str = ""
    level: str = ""
    duration: int | None = None
    disable: bool = False
    permissions: list[GrantRequest] = field(default_factory=list)

    @property
    def grants(self) -> list[Grant]:
        return [grant.as_grant() for grant in self.permissions]


@dataclass(frozen=True, slots=True)
class SecretRequest:
    secret: str = ""


class ShownRobot(TypedDict):
    id: int
    name: str
    description: NotRequired[str]
    level: str
    duration: int
    disable: bool
    editable: bool
    expires_at: int
    permissions: list[Grant]
    creator_type: str
    creator_ref: int
    creation_time: Time
    update_time: Time


class NewSecret(TypedDict):
    """The secret is told this once."""

    id: int
    name: str
    secret: str
    creation_time: Time
    expires_at: int


class Secret(TypedDict):
    secret: NotRequired[str]


class Permission(TypedDict):
    resource: str
    action: str


class Catalogue(TypedDict):
    """What may be granted on the system is shown to its administrators."""

    system: NotRequired[list[Permission]]
    project: list[Permission]


def render(robot: Robot) -> ShownRobot:
    shape: ShownRobot = {
        "id": robot.pk,
        "name": robot.username,
        "description": robot.description,
        "level": robot.level,
        "duration": robot.duration,
        "disable": robot.disable,
        "editable": True,
        "expires_at": robot.expires_at,
        "permissions": robot.permissions,
        "creator_type": robot.creator_type,
        "creator_ref": robot.creator_ref,
        "creation_time": stamp(robot.creation_time),
        "update_time": stamp(robot.update_time),
    }
    return without_empty(shape, "description")


class RobotBase(ApiView):
    """Robots of the system are an administrator's, those of a project are by its roles."""

    def allow(self, verb: str, level: str, project: Project | None) -> None:
        if level == Robot.Level.SYSTEM:
            self.authorise(f"robot:{verb}")
        elif project is None or not can(self.who, f"robot:{verb}", project):
            refuse(self.who, project, "")

    def find(self, robot_id: int, verb: str) -> Robot:
        """The robot, if the caller may; one that is not there is an administrator's to know."""
        self.authorise(SIGNED_IN)
        robot = Robot.objects.select_related("project").filter(pk=robot_id, visible=True).first()
        if robot is None:
            self.authorise(f"robot:{verb}")
            raise NotFound(f"robot {robot_id} not found")
        self.allow(verb, robot.level, robot.project)
        return robot


class RobotsView(RobotBase):
    actions = {"GET": SIGNED_IN, "POST": ANYONE}  # a malformed body is told to anybody first

    def get(self, request: Request) -> Paged[ShownRobot]:
        terms = query.parse(request.GET.get("q", ""))
        level, project_id = _exact(terms, "Level") or Robot.Level.SYSTEM, _exact(terms, "ProjectID")
        rows = Robot.objects.filter(level=level, visible=True)
        if level == Robot.Level.PROJECT:
            if not project_id:
                raise BadRequest("must with project ID when to query project robots")
            project = Project.objects.filter(pk=query.to_number(project_id)).first()
            self.allow("list", level, project)
            rows = rows.filter(project=project)
        elif level == Robot.Level.SYSTEM:
            self.allow("list", level, None)
        else:
            raise BadRequest(f"bad request error level input: {level[:100]}")
        rows = query.filtered(rows, terms, COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("name",))
        return paged(request, rows, lambda found: [render(robot) for robot in found])

    def post(self, request: Request) -> CreatedWith[NewSecret]:
        new = body.read(request, RobotRequest)
        duration = 0 if new.duration is None else new.duration
        robots.check(name=new.name, level=new.level, duration=duration, permissions=new.grants)
        namespace = new.permissions[0].namespace
        project = Project.objects.filter(name=namespace).first() if new.level == Robot.Level.PROJECT else None
        self.allow("create", new.level, project)
        robot, secret = robots.create_robot(
            name=new.name,
            level=new.level,
            permissions=new.grants,
            duration=duration,
            description=new.description,
            disable=new.disable,
            actor=self.who,
        )
        shape: NewSecret = {
            "id": robot.pk,
            "name": robot.username,
            "secret": secret,
            "creation_time": stamp(robot.creation_time),
            "expires_at": robot.expires_at,
        }
        return CreatedWith(shape, location=f"/api/v2.0/robots/{robot.pk}")


class RobotView(RobotBase):
    actions = {"GET": ANYONE, "PUT": ANYONE, "PATCH": ANYONE, "DELETE": ANYONE}

    def get(self, request: Request, robot_id: int) -> Answer[ShownRobot]:
        return Answer(render(self.find(robot_id, "read")))

    def put(self, request: Request, robot_id: int) -> Done:
        robot, new = self.find(robot_id, "update"), body.read(request, RobotRequest)
        robots.check_permissions(robot.level, new.grants)
        if new.level != robot.level or new.name != robot.username:
            raise BadRequest("cannot update the level or name of robot")
        robots.update_robot(
            robot=robot,
            actor=self.who,
            description=new.description,
            permissions=new.grants,
            disable=new.disable,
            duration=new.duration,
        )
        return Done()

    def patch(self, request: Request, robot_id: int) -> Answer[Secret]:
        """A new secret: a random one is told, a given one is not told back."""
        robot, given = self.find(robot_id, "update"), body.read(request, SecretRequest).secret
        secret = robots.refresh_secret(robot=robot, actor=self.who, secret=given)
        return Answer({} if given else {"secret": secret})

    def delete(self, request: Request, robot_id: int) -> Done:
        robots.delete_robot(robot=self.find(robot_id, "delete"), actor=self.who)
        return Done()


class PermissionsView(ApiView):
    """What robots may be granted, for those who may make some."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Answer[Catalogue]:
        project = _catalogue(GRANTABLE_PROJECT)
        if self.who.is_superuser:
            return Answer({"system": _catalogue(GRANTABLE_SYSTEM), "project": project})
        if not (isinstance(self.who, User) and _administers_one(self.who)):
            raise Forbidden("forbidden: only admins(system and project) can access permissions")
        return Answer({"project": project})


def _administers_one(user: User) -> bool:
    return Member.objects.held_by(user).filter(role=Role.PROJECT_ADMIN).exists()


def _catalogue(grantable: Mapping[str, str]) -> list[Permission]:
    return [
        {"resource": resource, "action": action} for resource, verbs in grantable.items() for action in verbs.split()
    ]


def _exact(terms: Mapping[str, query.Term], key: str) -> str:
    term = terms.get(key)
    return term.value if isinstance(term, Exact) else ""
