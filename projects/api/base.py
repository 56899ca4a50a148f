"""The base of every view of the REST API: who asks, whether they may, and which project is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from harborsite.api import parameters
from harborsite.api.converters import PathNumber
from harborsite.api.negotiation import JsonOrText
from harborsite.errors import Denied, Forbidden, MethodNotAllowed, Unauthorized, Unprocessable
from harborsite.observability.meters import OPERATION
from harborsite.principal import Principal
from projects import params
from projects.errors import ProjectNotFound
from projects.identity.authentication import BasicAuthentication, SessionAuthentication
from projects.models import Project
from projects.models.project import project_named, project_numbered
from projects.permissions import can, can_system

ANYONE = "anyone"  # what is shown depends on who asks
SIGNED_IN = "signed in"
CSRF_HEADER = "X-Harbor-CSRF-Token"
_CSRF_NAME = "HTTP_X_HARBOR_CSRF_TOKEN"  # the same in `META`
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def adopt_csrf_header(request: HttpRequest) -> None:
    """Let Harbor's header carry the token that Django looks for in its own."""
    if token := request.META.get(_CSRF_NAME):
        request.META[settings.CSRF_HEADER_NAME] = token


def csrf_token(request: HttpRequest) -> str:
    """What has to come back in the header: the cookie's value as it is, where the client has the cookie.

    Django masks it anew for each form, because a page is compressed with what others may write; a header is not.
    """
    return request.META.get("CSRF_COOKIE") or get_token(request)


class ApiView(APIView):
    """A view of `/api/v2.0`. `actions` says for each method who may call it.

    That is ANYONE, SIGNED_IN, or an action of the role table; a HEAD is judged as a GET.
    """

    actions: ClassVar[Mapping[str, str]]
    works_read_only: ClassVar[frozenset[str]] = frozenset()
    authentication_classes = [BasicAuthentication, SessionAuthentication]
    content_negotiation_class = JsonOrText
    format_kwarg = None  # no address ends in the name of a format

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        adopt_csrf_header(request)
        return super().initialize_request(request, *args, **kwargs)

    @property
    def who(self) -> Principal:
        return cast(Principal, self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__.removesuffix("View")  # as operationId in the OpenAPI document, capitalised
        request.META[OPERATION] = f"{(request.method or '').capitalize()}{name}"
        if not hasattr(self, (request.method or "").lower()):
            raise MethodNotAllowed(f"method {request.method} is not allowed, but [{self._allowed()}] are")
        for name, value in self.kwargs.items():  # the dictionary that the method is called with
            if isinstance(value, PathNumber):
                self.kwargs[name] = parameters.integer(value, name, place="path")
        if request.method not in _SAFE | self.works_read_only and params.get(params.READ_ONLY):
            raise Denied("The system is in read only mode. Any modification is prohibited.")
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        self.perform_authentication(request)
        self.authorise(self.action)

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    @property
    def action(self) -> str:
        method = self.request.method or ""
        return self.actions["GET" if method == "HEAD" and "HEAD" not in self.actions else method]

    def authorise(self, action: str) -> None:
        """Raise unless who asks may do `action`, here on the system as a whole."""
        if action == ANYONE:
            return
        if not self.who.is_authenticated:
            raise Unauthorized
        if action != SIGNED_IN and not can_system(self.who, action):
            raise Forbidden(self.who.username)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if "HTTP_AUTHORIZATION" not in request.META:
            response[CSRF_HEADER] = csrf_token(request._request)
            patch_vary_headers(response, ["Cookie"])
            if response.status_code == Unprocessable.status:
                response["WWW-Authenticate"] = 'Basic realm="API"'
        if request.method == "HEAD" and isinstance(response, Response):
            response.add_post_render_callback(_drop_content)
        return super().finalize_response(request, response, *args, **kwargs)

    def _allowed(self) -> str:
        return ",".join(sorted(method for method in self.actions if hasattr(self, method.lower())))


def _drop_content(response: Any) -> None:
    response.content = b""


class ProjectView(ApiView):
    """A view below `/projects/{project_name_or_id}`; its actions are those of the role table in that project."""

    def authorise(self, action: str) -> None:
        self.admit(action, self.find_project())

    def admit(self, action: str, found: Project | None) -> None:
        """Raise unless who asks may do `action` in the project that was found."""
        if found is not None and (action == ANYONE or can(self.who, action, found)):
            self.project = found
            return
        refuse(self.who, found, self.kwargs["project_name_or_id"])

    def find_project(self) -> Project | None:
        given = self.kwargs["project_name_or_id"]
        return named_project(given, by_name=is_name(self.request))


def is_name(request: Request) -> bool:
    """Whether a project is given by name even if it looks like an id."""
    return request.headers.get("X-Is-Resource-Name", "").lower() in {"true", "1"}


def named_project(given: str, *, by_name: bool = False) -> Project | None:
    """The project of that name, or of that id where the text is a number."""
    if by_name or not (given.isascii() and given.isdigit()):
        return project_named(given)
    return project_numbered(int(given)) if len(given) < 19 else None


def refuse(who: Principal, project: Project | None, given: str) -> None:
    """Raise what Harbor answers: only an administrator learns that a project does not exist."""
    if who.is_superuser and project is None:
        raise ProjectNotFound(f"project {given} not found")
    raise Forbidden if who.is_authenticated else Unauthorized


def require(who: Principal, action: str, project: Project) -> None:
    """Raise unless `who` may do `action` in `project`."""
    if not can(who, action, project):
        refuse(who, project, project.name)
