"""Whom a request to `/v2` or to the token service comes from: a token, basic credentials or the portal's session."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from harborsite.errors import Unauthorized
from projects.identity import DefaultPasswordRefused
from projects.identity.authentication import BasicAuthentication, SessionAuthentication
from projects.models import Robot, User
from registry.auth import tokens
from registry.auth.access import BASIC_CHALLENGE
from registry.auth.tokens import TokenPrincipal


class BearerAuthentication(BaseAuthentication):
    """A token of our own. One that does not hold makes nobody of the request, as Harbor does."""

    def authenticate(self, request: Request) -> tuple[TokenPrincipal, None] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        holder = tokens.verify(token.strip())
        return (holder, None) if holder else None


class RegistryBasicAuthentication(BasicAuthentication):
    """Basic credentials, refused in the way that registry clients show to people."""

    def authenticate(self, request: Request) -> tuple[User | Robot, None] | None:
        try:
            return super().authenticate(request)
        except DefaultPasswordRefused:
            message = DefaultPasswordRefused.default_message  # in English, as everything here
            raise Unauthorized(message, headers={"WWW-Authenticate": BASIC_CHALLENGE}) from None


# In Harbor's order; the first one that knows the caller decides.
REGISTRY_AUTHENTICATION: list[type[BaseAuthentication]] = [
    BearerAuthentication,
    RegistryBasicAuthentication,
    SessionAuthentication,
]
TOKEN_SERVICE_AUTHENTICATION = REGISTRY_AUTHENTICATION[1:]
