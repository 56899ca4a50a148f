"""What every request gets before a route is looked for: an id, and for the API a path without slips."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from harborsite.api.exceptions import CONTENT_TYPE
from harborsite.errors import BadRequest
from harborsite.observability import logs

_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SLASHES = re.compile(r"/{2,}")


class RequestId:
    """X-Request-Id is the client's own, or a new one, on every answer and in each line that is logged meanwhile."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        identity = request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        in_logs = logs.request_id.set(identity)
        try:
            response = self.get_response(request)
        finally:
            logs.request_id.reset(in_logs)
        response["X-Request-Id"] = identity
        return response


def request_id(given: str) -> str:
    return given if _ID.fullmatch(given) else str(uuid.uuid4())


class TidyApiPath:
    """Doubled and trailing slashes of the API mean nothing; a semicolon in the query is refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = _SLASHES.sub("/", request.path_info)
        if path.startswith(("/api/", "/c/")):
            if ";" in request.META.get("QUERY_STRING", ""):
                refused = BadRequest("invalid semicolon separator in query")
                return JsonResponse(refused.body(), status=refused.status, content_type=CONTENT_TYPE)
            request.path = request.path_info = path.rstrip("/")
        return self.get_response(request)
