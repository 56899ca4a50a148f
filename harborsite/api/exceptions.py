"""The one place where an exception becomes an answer, for `/v2` and `/api/v2.0` alike."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response

from harborsite.errors import (
    AppError,
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    Unprocessable,
)

logger = logging.getLogger("harborsite.api")
CONTENT_TYPE = "application/json; charset=utf-8"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: our envelope for our errors and DRF's; anything else is a logged 500."""
    known = _as_app_error(error)
    if known is None:
        logger.error("request failed", exc_info=error, extra={"path": context["request"].path})
        known = AppError()
    if known.status >= status.HTTP_500_INTERNAL_SERVER_ERROR and known is error:
        logger.error("request failed", extra={"path": context["request"].path, "error": str(error)})
    return Response(known.body(), status=known.status, headers=known.headers, content_type=CONTENT_TYPE)


def _as_app_error(error: Exception) -> AppError | None:
    match error:
        case AppError():
            return error
        case Http404():
            return NotFound()
        case exceptions.ParseError():
            return BadRequest(str(error.detail))
        case exceptions.ValidationError():
            return Unprocessable(_first_message(error.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthorized()
        case PermissionDenied() | exceptions.PermissionDenied():
            return Forbidden()
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(str(error.detail))
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType(str(error.detail))
        case _:
            return None


def _first_message(detail: object, where: str = "") -> str:
    """`name: This field is required.` from DRF's nested error detail."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        return _first_message(value, f"{where}.{key}" if where else str(key))
    if isinstance(detail, list):
        return _first_message(detail[0], where)
    return f"{where}: {detail}" if where else str(detail)


class UnsupportedMediaType(AppError):
    code, status, default_message = "UNSUPPORTED_MEDIA_TYPE", 415, "unsupported media type"
