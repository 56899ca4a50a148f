"""Signing in and out of a session, as scripts that imitate a browser do it with Harbor."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, login, logout
from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api.answers import Done
from harborsite.errors import BadRequest, PreconditionFailed
from projects import params
from projects.api.base import ANYONE, ApiView
from projects.identity import second_factor
from projects.identity.authentication import enforce_csrf
from projects.models import User


class LoginView(ApiView):
    """A form with `principal` and `password`; 200 with the cookie `sid`, or 401, without a word."""

    actions = {"POST": ANYONE}
    works_read_only = frozenset({"POST"})
    authentication_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        enforce_csrf(request._request)
        user = authenticate(
            request._request,
            username=request._request.POST.get("principal", ""),
            password=request._request.POST.get("password", ""),
        )
        if not isinstance(user, User) or second_factor.is_on(user):  # nobody could be asked for the code here
            return Response(status=401)
        login(request._request, user)
        request._request.session.set_expiry(params.get(params.SESSION_TIMEOUT) * 60)
        return Done()


class LogoutView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Done:
        logout(request._request)
        return Done()


class UserExistsView(ApiView):
    """Whether a name or address is taken, for a sign-up form; nobody else may try names here."""

    actions = {"POST": ANYONE}
    works_read_only = frozenset({"POST"})

    def post(self, request: Request) -> Response:
        if not (self.who.is_superuser or params.get(params.SELF_REGISTRATION)):
            raise PreconditionFailed("self registration is off")
        if not self.who.is_authenticated:
            enforce_csrf(request._request)
        target, value = request._request.POST.get("target", ""), request._request.POST.get("value", "")
        if target not in {"username", "email"}:
            raise BadRequest("target must be username or email")
        return Response(User.objects.living().filter(**{target: value}).exists())
