"""`/service/token`: where clients change credentials for a token. It writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from harborsite.principal import Principal
from registry.auth import scopes, tokens
from registry.auth.authentication import TOKEN_SERVICE_AUTHENTICATION


class TokenView(APIView):
    """GET alone: clients that try OAuth's POST first take the 405 as a hint to use GET."""

    http_method_names = ["get"]
    authentication_classes = TOKEN_SERVICE_AUTHENTICATION

    def get(self, request: Request) -> HttpResponseBase:
        service = request.query_params.get("service", "")
        if service != tokens.SERVICE:
            text = f"Unable to handle service: {service[:100]}"
            return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
        who = cast("Principal", request.user)  # the stubs know users alone
        wanted = scopes.parse(request.query_params.getlist("scope"))
        if not wanted and not who.is_authenticated:
            return HttpResponse(status=401)  # this is how `docker login` learns that a password is wrong
        granted = scopes.grant(wanted, who)
        access = granted.access if wanted else None
        minted = tokens.mint(subject=who.username, access=access, projects=granted.projects)
        return Response(_answer(minted), content_type="application/json; charset=utf-8")


def _answer(minted: tokens.Minted) -> dict[str, object]:
    return {
        "token": minted.token,
        "access_token": "",  # as Harbor: clients take the first that is not empty
        "expires_in": minted.expires_in,
        "issued_at": f"{datetime.fromtimestamp(minted.issued_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
