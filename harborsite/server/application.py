"""The WSGI application as a whole: registry clients in front, the portal and the REST API behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import django
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, get_resolver
from django.utils import translation

from harborsite.api.middleware import RequestId
from harborsite.config import current

if TYPE_CHECKING:
    from registry.v2.hot import HotPath

# What docker needs of settings.MIDDLEWARE: it has no session, no language and no messages.
_MIDDLEWARE: Final[tuple[Callable[..., Any], ...]] = (RequestId, SecurityMiddleware, CommonMiddleware)
_LONGEST_KEPT: Final = 512
_PATHS: Final = ("/v2/", "/service/token")
_FIRST_ASKED_FOR: Final = ("/v2/", "/service/token", "/api/v2.0/health", "/api/v2.0/projects", "/login/", "/projects/")


class RegistryHandler(WSGIHandler):
    """Django with the middleware of registry clients; none of it has hooks around views."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)
        self._view_middleware: list[Any] = []
        handler = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]
        for middleware in reversed(_MIDDLEWARE):
            handler = convert_exception_to_response(middleware(handler))
        self._middleware_chain = handler


class SiteHandler(WSGIHandler):
    """Django with everything, which looks a route up once: a path that was asked for is asked for again."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        path = request.path_info
        match = request.resolver_match = _resolved(path) if len(path) <= _LONGEST_KEPT else get_resolver().resolve(path)
        return match


@lru_cache(maxsize=4096)
def _resolved(path: str) -> ResolverMatch:
    return get_resolver().resolve(path)


class Front:
    """Sends registry clients one way and everybody else the other.

    A browser brings a cookie, and may open registry addresses with the portal's session.
    """

    at_once: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes] | None] | None

    def __init__(self, *, registry: HotPath, site: WSGIApplication, reads_at_once: bool) -> None:
        """`reads_at_once` says that the database never makes a reader wait; then the server may ask in its loop."""
        self._registry, self._site = registry, site
        self.at_once = self._answer_at_once if reads_at_once else None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return (self._registry if _is_client(environ) else self._site)(environ, start_response)

    def _answer_at_once(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes] | None:
        return self._registry.at_once(environ, start_response) if _is_client(environ) else None


def _is_client(environ: WSGIEnvironment) -> bool:
    return environ["PATH_INFO"].startswith(_PATHS) and "HTTP_COOKIE" not in environ


def load() -> Front:
    """Everything imported that a request may need, so that the processes forked from this one share it."""
    django.setup(set_prefix=False)
    site = SiteHandler()
    get_resolver().reverse_dict  # noqa: B018 - reading it resolves the whole URL configuration

    from registry.v2.hot import HotPath

    hot = HotPath(RegistryHandler(), constant_headers(current().ui_url_protocol))
    return Front(registry=hot, site=site, reads_at_once=connection.vendor == "sqlite")


def rehearse(application: WSGIApplication) -> None:
    """Answer once what visitors ask for first. What that loads and builds is then shared by the processes that are
    forked from this one, and none of them has to do it again. The language of the last one is not: jobs write in ours.
    """
    with translation.override(settings.LANGUAGE_CODE):
        for language, _name in settings.LANGUAGES:
            for path in _FIRST_ASKED_FOR:
                environ = {"PATH_INFO": path, "HTTP_ACCEPT_LANGUAGE": language, "REMOTE_ADDR": "127.0.0.1"}
                setup_testing_defaults(environ)
                answer = application(environ, lambda status, headers, error=None: lambda data: None)
                b"".join(answer)
                if hasattr(answer, "close"):
                    answer.close()


def constant_headers(protocol: str) -> list[tuple[str, str]]:
    """What the middleware adds to every answer alike, over http or https."""
    request = WSGIRequest({"REQUEST_METHOD": "GET", "wsgi.input": BytesIO(), "wsgi.url_scheme": protocol})
    response = SecurityMiddleware(lambda request: HttpResponse())(request)
    assert isinstance(response, HttpResponse)  # noqa: S101 - it is synchronous
    return [(name, value) for name, value in response.items() if name != "Content-Type"]
