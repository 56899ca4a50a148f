"""The base of every error that a client may see: a code, an HTTP status and a message.

`/v2` and `/api/v2.0` share one body, `{"errors": [{"code", "message", "detail"}]}`, so one handler serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.utils.translation import gettext


class AppError(Exception):
    """Raised by services; subclasses set the class attributes, callers may add a message, detail and headers."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500
    default_message: ClassVar[str] = "internal server error"

    def __init__(
        self,
        message: str = "",
        *,
        detail: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or gettext(self.default_message)  # marked ones are in the catalogue
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def body(self) -> dict[str, list[dict[str, object]]]:
        """The envelope that both APIs answer with."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return {"errors": [error]}


class BadRequest(AppError):
    code, status, default_message = "BAD_REQUEST", 400, "bad request"


class Unauthorized(AppError):
    code, status, default_message = "UNAUTHORIZED", 401, "unauthorized"


class Forbidden(AppError):
    code, status, default_message = "FORBIDDEN", 403, "forbidden"


class Denied(AppError):
    code, status, default_message = "DENIED", 403, "denied"


class NotFound(AppError):
    code, status, default_message = "NOT_FOUND", 404, "resource not found"


class MethodNotAllowed(AppError):
    code, status, default_message = "METHOD_NOT_ALLOWED", 405, "method not allowed"


class Conflict(AppError):
    code, status, default_message = "CONFLICT", 409, "resource conflict"


class PreconditionFailed(AppError):
    code, status, default_message = "PRECONDITION", 412, "precondition failed"


class TooLarge(AppError):
    code, status, default_message = "REQUEST_ENTITY_TOO_LARGE", 413, "request entity too large"


class Unprocessable(AppError):
    code, status, default_message = "UNPROCESSABLE_ENTITY", 422, "unprocessable entity"
