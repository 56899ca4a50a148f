"""Settings that an administrator changes while the server runs: one typed list, read by REST, portal and services.

Values are kept in `Setting` rows. A process remembers what it read for five seconds at most; a change made in the
same process is seen at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import transaction

from harborsite.config import current

T = TypeVar("T", bool, int, str)
_FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Param(Generic[T]):
    """One setting: its key on the wire, its default (which also gives the type), whether it is a secret."""

    key: str
    default: T
    secret: bool = False


_boot = current()
AUTH_MODE = Param("auth_mode", _boot.auth_mode)
PRIMARY_AUTH_MODE = Param("primary_auth_mode", False)
SELF_REGISTRATION = Param("self_registration", _boot.self_registration)
PROJECT_CREATION_RESTRICTION = Param("project_creation_restriction", _boot.project_creation_restriction)
READ_ONLY = Param("read_only", False)
TOKEN_EXPIRATION = Param("token_expiration", _boot.token_expiration)
SESSION_TIMEOUT = Param("session_timeout", 60)
ROBOT_TOKEN_DURATION = Param("robot_token_duration", 30)
ROBOT_NAME_PREFIX = Param("robot_name_prefix", "robot$")
NOTIFICATION_ENABLE = Param("notification_enable", True)
QUOTA_PER_PROJECT_ENABLE = Param("quota_per_project_enable", True)
STORAGE_PER_PROJECT = Param("storage_per_project", -1)
BANNER_MESSAGE = Param("banner_message", "")

PARAMS: Mapping[str, Param[Any]] = {p.key: p for p in list(globals().values()) if isinstance(p, Param)}

_cache: dict[str, Any] = {}
_read_at = float("-inf")


def get(param: Param[T]) -> T:
    """The value in force."""
    value: T = _stored().get(param.key, param.default)
    return value


def update(values: Mapping[str, bool | int | str]) -> None:
    """Keep `values` (already validated); readers in this process see them once the transaction commits."""
    from projects.models import Setting

    with transaction.atomic():
        for key, value in values.items():
            Setting.objects.update_or_create(key=key, defaults={"value": value})
        transaction.on_commit(forget)


def forget() -> None:
    """Read the rows again at the next question."""
    global _read_at
    _read_at = float("-inf")


def _stored() -> Mapping[str, Any]:
    global _cache, _read_at
    if time.monotonic() - _read_at > _FRESH_SECONDS:
        from projects.models import Setting

        _cache = dict(Setting.objects.values_list("key", "value"))
        _read_at = time.monotonic()
    return _cache
