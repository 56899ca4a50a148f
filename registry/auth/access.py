"""Who may do what on `/v2`: method to action, the decision, and the 401 with its challenge, all from the same needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.http import HttpRequest

from harborsite.config import current
from harborsite.errors import AppError, BadRequest, Unauthorized
from harborsite.principal import Principal
from projects.models import Project
from projects.models.project import project_named
from projects.permissions import can, can_system
from registry.auth.scopes import DELETE, PULL, PUSH, full_name
from registry.auth.tokens import SERVICE, TokenPrincipal
from registry.oci.grammar import GrammarError, is_repository_name, split_repository
from registry.oci.text import excerpt

BASIC_CHALLENGE = 'Basic realm="harbor"'
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class Target(StrEnum):
    """What a route of `/v2` is about."""

    PING = "ping"
    CATALOG = "catalog"
    REPOSITORY = "repository"


# Method to action. A method that is not here is nobody's right.
REPOSITORY_ACTIONS: Mapping[str, str] = {
    "GET": PULL,
    "HEAD": PULL,
    "POST": PUSH,
    "PUT": PUSH,
    "PATCH": PUSH,
    "DELETE": DELETE,
}
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Need:
    """One right that a request asks for; `name` is the repository as the client wrote it."""

    target: Target
    name: str = ""
    action: str = ""

    @property
    def scope(self) -> str:
        """The scope that a client has to ask the token service for."""
        actions = f"{PULL},{PUSH}" if self.action == PUSH else self.action
        return f"repository:{self.name}:{actions}" if self.target == Target.REPOSITORY else ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What was asked for, looked up afresh: the repository with its project, and those to mount from.

    `repository` is the full name, also where the client left the default project out.
    """

    project: Project | None = None
    repository: str = ""
    source_project: Project | None = None
    source_repository: str = ""


def required(method: str, target: Target | None, name: str = "", mount_from: str = "") -> tuple[Need, ...]:
    """What a request needs; nothing at all where method or route is unknown, which nobody is admitted to.

    A `mount_from` that is no repository's name cannot be mounted from, and so needs no right.
    """
    match target:
        case Target.PING | Target.CATALOG if method in _READS:
            return (Need(target),)
        case Target.REPOSITORY if method in REPOSITORY_ACTIONS:
            needs = (Need(target, name, REPOSITORY_ACTIONS[method]),)
            mounts = method == "POST" and is_repository_name(mount_from)
            return (*needs, Need(target, mount_from, PULL)) if mounts else needs
        case _:
            return ()


def authorise(*, who: Principal, needs: Sequence[Need], request: HttpRequest) -> Admission:
    """Admit `who` to what `needs` say, or raise the 401 that tells the client how to get in."""
    if not needs:
        message = f"un-recognized request: {request.method} {excerpt(request.path)}"
        raise Unauthorized(message, headers={"WWW-Authenticate": ""})
    if needs[0].target != Target.REPOSITORY:
        _enter(who, needs, request)
        return Admission()
    if request.method in _READS and not _has_credentials(request) and not who.is_authenticated:
        # Even what is public: the client then fetches a token, which is where it may bring its credentials.
        raise _refusal("authorize header needed to send HEAD to repository", needs, request)
    names = [_split(need.name) for need in needs]
    projects = [project_named(project) for project, _ in names]
    for need, project, (project_name, _) in zip(needs, projects, names, strict=True):
        if project is None and need is needs[0] and who.is_authenticated:
            raise Unauthorized(f"project {project_name} not found", headers={"WWW-Authenticate": ""})
        if project is None or not may(who, need.action, project):
            raise _refusal(f"unauthorized to access repository: {need.name}, action: {need.action}", needs, request)
    full = ["/".join(parts) for parts in names]
    mounts = len(needs) > 1
    return Admission(projects[0], full[0], projects[1] if mounts else None, full[1] if mounts else "")


def _enter(who: Principal, needs: Sequence[Need], request: HttpRequest) -> None:
    """The two routes that are about no repository. No token lists the catalogue."""
    if needs[0].target == Target.CATALOG:
        if not can_system(who, "catalog:read"):
            raise Unauthorized("unauthorized to list catalog", headers={"WWW-Authenticate": BASIC_CHALLENGE})
    elif not who.is_authenticated:
        raise _refusal("unauthorized", needs, request)


def _split(name: str) -> tuple[str, str]:
    try:
        return split_repository(full_name(name))
    except GrammarError:
        raise BadRequest(f"invalid repository name: {excerpt(name)}") from None


def may(who: Principal, action: str, project: Project) -> bool:
    if isinstance(who, TokenPrincipal):
        return who.may(action, project)
    return can(who, f"repository:{action}", project)


def _has_credentials(request: HttpRequest) -> bool:
    return bool(request.META.get("HTTP_AUTHORIZATION"))


def _refusal(message: str, needs: Sequence[Need], request: HttpRequest) -> AppError:
    return Unauthorized(message, headers={"WWW-Authenticate": _challenge(needs, request)})


def _challenge(needs: Sequence[Need], request: HttpRequest) -> str:
    """Where to get a token; whoever brought credentials, and they were not enough, is asked for better ones."""
    if _has_credentials(request):
        return BASIC_CHALLENGE
    parts = [f'realm="{base_url(request)}/service/token"', f'service="{SERVICE}"']
    if scope := " ".join(need.scope for need in needs if need.scope):
        parts.append(f'scope="{scope}"')
    return "Bearer " + ",".join(parts)


def base_url(request: HttpRequest) -> str:
    """The address that the client used; the one of harbor.cfg if it is not fit to be quoted."""
    host = request.META.get("HTTP_HOST", "")
    config = current()
    return f"{config.ui_url_protocol}://{host}" if _HOST.fullmatch(host) else config.external_url
