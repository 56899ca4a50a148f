"""Basic credentials and the portal's session, for the REST API and the registry alike.

Credentials that are wrong make nobody of a request, as Harbor does: what is public stays readable, and everything
else is refused where rights are asked for.
"""

from __future__ import annotations

import base64
import binascii

from django.contrib.auth.middleware import get_user
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from harborsite.errors import Forbidden
from projects.identity.origin import client_address
from projects.identity.signin import sign_in
from projects.models import Robot, User


class BasicAuthentication(BaseAuthentication):
    """Users by name or e-mail, robot accounts by their prefixed name; raises DefaultPasswordRefused."""

    def authenticate(self, request: Request) -> tuple[User | Robot, None] | None:
        credentials = basic_credentials(request.META.get("HTTP_AUTHORIZATION", ""))
        if credentials is None:
            return None
        username, password = credentials
        account = sign_in(username=username, password=password, remote_addr=client_address(request.META))
        return (account, None) if account else None


class SessionAuthentication(BaseAuthentication):
    """Whoever signed in to the portal; changing anything takes the CSRF token as well."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        if not hasattr(request._request, "session"):
            return None
        user = get_user(request._request)  # the account itself; `request.user` stands for it and is slow
        if not isinstance(user, User) or not user.is_active:
            return None
        if request.method not in SAFE_METHODS:
            enforce_csrf(request._request)
        return (user, None)


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Name and password of an Authorization header; None if it holds none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def enforce_csrf(request: HttpRequest) -> None:
    """Raise Forbidden for an unsafe request without a valid CSRF token; API views are exempt from the middleware."""
    check = _CsrfCheck(_no_response)
    check.process_request(request)
    if reason := check.process_view(request, _no_response, (), {}):
        raise Forbidden(str(reason))


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _no_response(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
