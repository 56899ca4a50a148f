"""Users: accounts, profiles, passwords, and what the caller may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from django.db.models import Q, QuerySet
from django.db.models.functions import Length
from rest_framework.request import Request

from harborsite.api import body, parameters
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.listing import Listing, listed
from harborsite.api.paging import Page
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import stamp, without_empty
from harborsite.errors import BadRequest, Forbidden, NotFound, PreconditionFailed, Unauthorized
from projects import params
from projects.api.base import ANYONE, SIGNED_IN, ApiView, is_name, named_project
from projects.models import User
from projects.models.user import ADMIN_ID
from projects.permissions import PROJECT_ACTIONS, SYSTEM_ACTIONS, actions_for, can_system
from projects.services import accounts

COLUMNS = {
    "user_id": Column("pk", to_number),
    "username": Column("username"),
    "email": Column("email"),
    "realname": Column("realname"),
    "comment": Column("comment"),
    "sysadmin_flag": Column("sysadmin_flag", to_flag),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class NewUser:
    username: str = ""
    email: str = ""
    password: str = ""
    realname: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    email: str = ""
    realname: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SysadminFlag:
    sysadmin_flag: bool = False


@dataclass(frozen=True, slots=True)
class Passwords:
    old_password: str = ""
    new_password: str = ""


class ShownUser(TypedDict):
    user_id: int
    username: str
    email: NotRequired[str]
    realname: NotRequired[str]
    comment: NotRequired[str]
    sysadmin_flag: bool
    admin_role_in_auth: bool
    creation_time: Time
    update_time: Time


class FoundUser(TypedDict):
    user_id: int
    username: str


class Permission(TypedDict):
    resource: str
    action: str


def render(user: User) -> ShownUser:
    shape: ShownUser = {
        "user_id": user.pk,
        "username": user.username,
        "email": user.email or "",
        "realname": user.realname,
        "comment": user.comment,
        "sysadmin_flag": user.sysadmin_flag,
        "admin_role_in_auth": user.admin_role_in_auth,
        "creation_time": stamp(user.creation_time),
        "update_time": stamp(user.update_time),
    }
    return without_empty(shape, "email", "realname", "comment")


class UsersView(ApiView):
    actions = {"GET": "user:list", "POST": ANYONE}

    def get(self, request: Request) -> Paged[ShownUser]:
        return listed(request, _LISTING, lambda users: [render(user) for user in users])

    def post(self, request: Request) -> Created:
        """Administrators make accounts; visitors sign up where that is allowed, never as administrators."""
        new = body.read(request, NewUser)
        if not can_system(self.who, "user:create"):
            self._check_self_registration()
        if not new.email:
            raise BadRequest("email can't be empty")
        if not new.realname:
            raise BadRequest("realname with illegal length")
        user = accounts.create_user(
            username=new.username,
            email=new.email,
            password=new.password,
            realname=new.realname,
            comment=new.comment,
            actor=self.who if self.who.is_authenticated else new.username,
        )
        return Created(f"/api/v2.0/users/{user.pk}")

    def _check_self_registration(self) -> None:
        if not params.get(params.SELF_REGISTRATION):
            raise Forbidden(self.who.username) if self.who.is_authenticated else Unauthorized
        if params.get(params.AUTH_MODE) != "db_auth":
            raise Forbidden("self-registration is only available with accounts of the database")
        if self.who.is_authenticated:
            raise Forbidden("self-registration cannot be triggered via API")


class UserView(ApiView):
    """One account: read and changed by its person or an administrator."""

    actions = {"GET": SIGNED_IN, "PUT": SIGNED_IN, "DELETE": "user:delete"}

    def get(self, request: Request, user_id: int) -> Answer[ShownUser]:
        return Answer(render(self._account(user_id, "user:read")))

    def put(self, request: Request, user_id: int) -> Done:
        user = self._account(user_id, "user:update")
        new = body.read(request, Profile)
        if not new.email:
            raise BadRequest("email can't be empty")
        accounts.update_profile(user=user, email=new.email, realname=new.realname, comment=new.comment, actor=self.who)
        return Done()

    def delete(self, request: Request, user_id: int) -> Done:
        accounts.delete_user(user=find(user_id), actor=self.who)
        return Done()

    def _account(self, user_id: int, action: str) -> User:
        if not (is_self(self.who, user_id) or can_system(self.who, action)):
            raise Forbidden(self.who.username)
        return find(user_id)


class SysadminView(ApiView):
    actions = {"PUT": "user:update"}

    def put(self, request: Request, user_id: int) -> Done:
        flag = body.read(request, SysadminFlag).sysadmin_flag
        accounts.set_sysadmin(user=find(user_id), flag=flag, actor=self.who)
        return Done()


class PasswordView(ApiView):
    actions = {"PUT": SIGNED_IN}

    def put(self, request: Request, user_id: int) -> Done:
        if not (is_self(self.who, user_id) or can_system(self.who, "user:update")):
            raise Forbidden(self.who.username)
        user, new = find(user_id), body.read(request, Passwords)
        if is_self(self.who, user_id):
            accounts.change_password(user=user, old_password=new.old_password, password=new.new_password)
        else:
            accounts.set_password(user=user, password=new.new_password, actor=self.who)
        return Done()


class CliSecretView(ApiView):
    actions = {"PUT": SIGNED_IN}

    def put(self, request: Request, user_id: int) -> Done:
        raise PreconditionFailed("the auth mode has to be oidc_auth to set a CLI secret")


class CurrentUserView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Answer[ShownUser]:
        if not isinstance(self.who, User):
            raise PreconditionFailed("get current user not available for security context: robot")
        return Answer(render(self.who))


class CurrentPermissionsView(ApiView):
    """What the caller may do in a project or on the system."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Answer[list[Permission]]:
        scope = request.GET.get("scope", "")
        relative = parameters.flag(request, "relative", False)
        kind, _, given = scope.removeprefix("/").partition("/")
        if kind == "system" and not given:
            held = sorted(action for action in SYSTEM_ACTIONS if can_system(self.who, action))
            return Answer([_permission(action, "") for action in held])
        project = named_project(given, by_name=is_name(request)) if kind == "project" and given else None
        if project is None:
            return Answer([])
        held = sorted(actions_for(self.who, project) & PROJECT_ACTIONS)
        whole = "." if relative else f"/project/{project.pk}"
        shapes = [_permission(action, "" if relative else f"{whole}/") for action in held]
        for action, shape in zip(held, shapes, strict=True):
            if action.startswith("project:"):
                shape["resource"] = whole
        return Answer(shapes)


class UserSearchView(ApiView):
    """Names only, for who adds a member."""

    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Paged[FoundUser]:
        name = parameters.required(request, "username")
        rows = _listed().filter(username__icontains=name).order_by(Length("username"), "username")
        page, total = Page.of(request), rows.count()
        first = rows[: page.size] if page.size > 0 else rows  # every page is the first one: as Harbor has it
        found: list[FoundUser] = [{"user_id": user.pk, "username": user.username} for user in first]
        return Paged(found, headers=page.headers(request, total))


def find(user_id: int) -> User:
    user = User.objects.living().filter(pk=user_id).first()
    if user is None:
        raise NotFound(f"user {user_id} not found")
    return user


def is_self(who: Any, user_id: int) -> bool:
    return isinstance(who, User) and who.pk == user_id


def _listed() -> QuerySet[User]:
    """The built-in administrator is in no list."""
    return User.objects.living().filter(~Q(pk=ADMIN_ID))


_LISTING = Listing(_listed, COLUMNS, ("username",))


def _permission(action: str, place: str) -> Permission:
    resource, _, verb = action.partition(":")
    return {"resource": f"{place}{resource}", "action": verb}
