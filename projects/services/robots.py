"""Robot accounts: made, changed, given a new secret, removed; never with more rights than their maker."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from projects import names
from projects.errors import GrantTooWide, ProjectNotFound, RobotExists
from projects.models import Project, Robot
from projects.models.robot import NEVER
from projects.permissions import GRANTABLE_PROJECT, GRANTABLE_SYSTEM
from projects.services.accounts import check_password

MAX_DURATION = 2147483646
SECONDS_OF_DAY = 24 * 3600


class Access(TypedDict):
    resource: str
    action: str
    effect: NotRequired[str]


class Grant(TypedDict):
    kind: str
    namespace: str
    access: list[Access]


def check(*, name: str, level: str, duration: int, permissions: Sequence[Grant]) -> None:
    """Raise BadRequest where an account like this can not be, whoever asks for it."""
    _check_name(name)
    if level not in Robot.Level.values:
        raise BadRequest(_("bad request error level input: {level}").format(level=level))
    check_duration(duration)
    check_permissions(level, permissions)


def check_new_name(name: str, project: Project | None) -> None:
    """Raise unless an account of this project, or of the system, could be made under this name."""
    _check_name(name)
    robot = Robot(name=_stored_name(name, project))
    if Robot.objects.filter(name=robot.name).exists():
        raise _exists(robot)


def _check_name(name: str) -> None:
    if not names.is_robot_name(name):
        raise BadRequest(_("robot name is not in lower case or contains illegal characters"))


def check_duration(duration: int) -> None:
    if duration != NEVER and not 1 <= duration <= MAX_DURATION:
        raise BadRequest(
            _(
                "bad request error duration input: {duration}, duration must be either -1(Never) or a positive integer"
            ).format(duration=duration)
        )


def check_permissions(level: str, permissions: Sequence[Grant]) -> None:
    if not permissions:
        raise BadRequest(_("bad request empty permission"))
    if level == Robot.Level.PROJECT and (len(permissions) != 1 or permissions[0]["kind"] != "project"):
        raise BadRequest(_("bad request permission"))
    for grant in permissions:
        if grant["kind"] not in {"system", "project"}:
            raise BadRequest(_("bad request permission level: {kind}").format(kind=grant["kind"]))
        if not grant["access"]:
            raise BadRequest(_("bad request empty access"))
        if level == Robot.Level.PROJECT and grant["namespace"] == "*":
            raise BadRequest(_("bad request permission"))
        known = GRANTABLE_SYSTEM if grant["kind"] == "system" else GRANTABLE_PROJECT
        for access in grant["access"]:
            if access["action"] not in known.get(access["resource"], "").split():
                raise BadRequest(
                    _("bad request permission: {resource}:{action}").format(
                        resource=access["resource"], action=access["action"]
                    )
                )


def create_robot(
    *,
    name: str,
    level: str,
    permissions: Sequence[Grant],
    duration: int,
    actor: Principal,
    description: str = "",
    disable: bool = False,
) -> tuple[Robot, str]:
    """Make an account; the second value is its secret, which is nowhere readable again."""
    check(name=name, level=level, duration=duration, permissions=permissions)
    owners = _projects_of(permissions)
    _check_within(actor, permissions, owners)
    project = owners[permissions[0]["namespace"]] if level == Robot.Level.PROJECT else None
    secret = new_secret()
    robot = Robot(
        name=_stored_name(name, project),
        level=level,
        project=project,
        description=description,
        permissions=list(permissions),
        duration=duration,
        disable=disable,
        secret=make_password(secret),
        creator_type="robot" if isinstance(actor, Robot) else "local",
        creator_ref=getattr(actor, "pk", None) or 0,
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                robot.save(force_insert=True)
        except IntegrityError:
            raise _exists(robot) from None
        robot.expires_at = _expiry(robot)
        robot.save(update_fields=["expires_at"])
        _record(actor, Operation.CREATE, robot)
    return robot, secret


def update_robot(
    *,
    robot: Robot,
    actor: Principal,
    description: str,
    permissions: Sequence[Grant],
    disable: bool,
    duration: int | None = None,
) -> Robot:
    """Change everything but name, level, project and secret."""
    check_permissions(robot.level, permissions)
    if duration is not None:
        check_duration(duration)
        robot.duration = duration
    if robot.project and permissions[0]["namespace"] != robot.project.name:
        raise BadRequest(_("cannot update the project of robot"))
    _check_within(actor, permissions, _projects_of(permissions))
    robot.description, robot.permissions, robot.disable = description, list(permissions), disable
    robot.expires_at = _expiry(robot)
    with transaction.atomic():
        robot.save()
        _record(actor, Operation.UPDATE, robot)
    return robot


def refresh_secret(*, robot: Robot, actor: Principal | str, secret: str = "") -> str:
    """Give a new secret, a random one where none is given; returns it."""
    if secret:
        check_password(secret)
    else:
        secret = new_secret()
    robot.secret = make_password(secret)
    with transaction.atomic():
        robot.save(update_fields=["secret", "update_time"])
        _record(actor, Operation.UPDATE, robot, change="secret")
    return secret


def set_disabled(*, robot: Robot, disable: bool, actor: Principal | str) -> Robot:
    robot.disable = disable
    with transaction.atomic():
        robot.save(update_fields=["disable", "update_time"])
        _record(actor, Operation.UPDATE, robot, change="disable" if disable else "enable")
    return robot


def delete_robot(*, robot: Robot, actor: Principal | str) -> None:
    with transaction.atomic():
        _record(actor, Operation.DELETE, robot)
        robot.delete()


def new_secret() -> str:
    """32 random letters and digits with each kind among them, so that it passes the password rule."""
    kinds = (string.ascii_uppercase, string.ascii_lowercase, string.digits)
    picked = [secrets.choice(kind) for kind in kinds]
    picked += [secrets.choice("".join(kinds)) for _ in range(32 - len(kinds))]
    secrets.SystemRandom().shuffle(picked)
    return "".join(picked)


def _expiry(robot: Robot) -> int:
    if robot.duration == NEVER:
        return NEVER
    return int(robot.creation_time.timestamp()) + robot.duration * SECONDS_OF_DAY


def _projects_of(permissions: Sequence[Grant]) -> Mapping[str, Project]:
    """The projects that the grants name."""
    wanted = {grant["namespace"] for grant in permissions if grant["kind"] == "project"} - {"*"}
    found = {project.name: project for project in Project.objects.filter(name__in=wanted)}
    for missing in wanted - found.keys():
        raise ProjectNotFound(_("project {name} not found").format(name=missing))
    return found


def _stored_name(name: str, project: Project | None) -> str:
    return f"{project.name}+{name}" if project else name


def _exists(robot: Robot) -> RobotExists:
    return RobotExists(_("robot account {name} already exists").format(name=robot.username))


def _check_within(actor: Principal, permissions: Sequence[Grant], projects: Mapping[str, Project]) -> None:
    """A robot makes no robot that may do more than itself.

    People are judged by the right to make robots at all (`robot:create`), which only those have who hold
    everything that can be granted there.
    """
    if not isinstance(actor, Robot):
        return
    for grant in permissions:
        asked = {f"{access['resource']}:{access['action']}" for access in grant["access"]}
        if grant["kind"] == "system":
            held = actor.granted_system()
        elif grant["namespace"] == "*":
            held = _held_everywhere(actor)
        else:
            held = actor.granted_in(projects[grant["namespace"]])
        if not asked <= held:
            raise GrantTooWide(
                _(
                    "permission scope is invalid. It must be equal to or more restrictive than the creator robot's "
                    "permissions: {name}"
                ).format(name=actor.username)
            )


def _held_everywhere(robot: Robot) -> frozenset[str]:
    return frozenset(
        f"{access['resource']}:{access['action']}"
        for grant in robot.permissions
        if grant["kind"] == "project" and grant["namespace"] == "*"
        for access in grant["access"]
        if access.get("effect", "") in {"", "allow"}
    )


def _record(actor: Principal | str, operation: Operation, robot: Robot, **data: object) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.ROBOT,
        resource=robot.username,
        project_id=robot.project_id,
        data=data,
    )
