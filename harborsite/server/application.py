"""The WSGI application as a whole: registry clients in front, the portal and the REST API behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import get_resolver

from harborsite.api.middleware import RequestId

# What docker needs of settings.MIDDLEWARE: it has no session, no language and no messages.
_MIDDLEWARE: Final[tuple[Callable[..., Any], ...]] = (RequestId, SecurityMiddleware, CommonMiddleware)
_PATHS: Final = ("/v2/", "/service/token")


class RegistryHandler(WSGIHandler):
    """Django with the middleware of registry clients; none of it has hooks around views."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)
        self._view_middleware: list[Any] = []
        handler = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]
        for middleware in reversed(_MIDDLEWARE):
            handler = convert_exception_to_response(middleware(handler))
        self._middleware_chain = handler


class Front:
    """Sends registry clients one way and everybody else the other.

    A browser brings a cookie, and may open registry addresses with the portal's session.
    """

    def __init__(self, *, registry: WSGIApplication, site: WSGIApplication) -> None:
        self._registry, self._site = registry, site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_client = environ["PATH_INFO"].startswith(_PATHS) and "HTTP_COOKIE" not in environ
        return (self._registry if is_client else self._site)(environ, start_response)


def load() -> Front:
    """Everything imported that a request may need, so that the processes forked from this one share it."""
    site = get_wsgi_application()
    get_resolver().reverse_dict  # noqa: B018 - reading it resolves the whole URL configuration

    from registry.v2.hot import HotPath

    return Front(registry=HotPath(RegistryHandler(), constant_headers()), site=site)


def constant_headers() -> list[tuple[str, str]]:
    """What the middleware adds to every answer alike."""
    response = SecurityMiddleware(lambda request: HttpResponse())(HttpRequest())
    assert isinstance(response, HttpResponse)  # noqa: S101 - it is synchronous
    return [(name, value) for name, value in response.items() if name != "Content-Type"]
