"""Settings that an administrator changes while the server runs: one typed list, read by REST, portal and services.

Values are kept in `Setting` rows. A process remembers what it read for five seconds at most; a change made in the
same process is seen at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import transaction
from django.db.models import QuerySet

from harborsite import configvalues as to
from harborsite import directories
from harborsite.config import current
from harborsite.db.prepared import prepared
from harborsite.sealing import seal, unseal

if TYPE_CHECKING:
    from projects.models import Setting

T = TypeVar("T", bool, int, str)
_FRESH_SECONDS = 5.0
_LONGEST = 9_999_999_999
_MAX_QUOTA = 1024**5
_MAX_TEXT = 16_384


@dataclass(frozen=True, slots=True)
class Param(Generic[T]):
    """One setting: its key on the wire, its default (which also gives the type), and what it may be.

    A secret is kept sealed, and never shown.
    """

    key: str
    default: T
    fits: Callable[[Any], bool] = lambda value: True
    secret: bool = False

    def accepts(self, value: object) -> bool:
        """Whether `value` may be kept: of the same type, no longer than sensible, and in range.

        Raises ValueError where there is more to say about why not.
        """
        if type(value) is not type(self.default):
            return False
        return not (isinstance(value, str) and len(value) > _MAX_TEXT) and self.fits(value)


def _one_of(*choices: str | int) -> Callable[[Any], bool]:
    return lambda value: value in choices


def _positive(value: int) -> bool:
    return 1 <= value <= _LONGEST


def _percent(value: int) -> bool:
    return 1 <= value <= 100


def _filled(value: str) -> bool:
    return bool(value.strip())


def _quota(value: int) -> bool:
    return value == -1 or 1 <= value <= _MAX_QUOTA


def _prefix(value: str) -> bool:
    """Not empty, and with a character that no user name may have, so that nobody can take a robot's name."""
    return any(char in value for char in "$#%~") and value == value.strip() and len(value) <= 64


def _readable(parse: Callable[[str], object]) -> Callable[[Any], bool]:
    """Fits where harbor.cfg would take it; `parse` raises ValueError with the reason where not."""

    def fits(value: str) -> bool:
        parse(value)
        return True

    return fits


def _address(value: str) -> bool:
    return _filled(value) and _readable(to.url("ldap", "ldaps"))(value)


def _base_dn(value: str) -> bool:
    return _filled(value) and _readable(directories.dn)(value)


def _certificates(value: str) -> bool:
    return not value or "-----BEGIN CERTIFICATE-----" in value


_boot = current()
_first = _boot.directories[0]
_SCOPES = _one_of(0, 1, 2)
AUTH_MODE = Param("auth_mode", _boot.auth_mode, _one_of("db_auth", "ldap_auth", "uaa_auth", "http_auth", "oidc_auth"))
PRIMARY_AUTH_MODE = Param("primary_auth_mode", False)
SELF_REGISTRATION = Param("self_registration", _boot.self_registration)
PROJECT_CREATION_RESTRICTION = Param(
    "project_creation_restriction", _boot.project_creation_restriction, _one_of("everyone", "adminonly")
)
READ_ONLY = Param("read_only", False)
TOKEN_EXPIRATION = Param("token_expiration", _boot.token_expiration, _positive)  # minutes
SESSION_TIMEOUT = Param("session_timeout", 60, _positive)  # minutes
ROBOT_TOKEN_DURATION = Param("robot_token_duration", 30, _positive)  # days
ROBOT_NAME_PREFIX = Param("robot_name_prefix", "robot$", _prefix)
NOTIFICATION_ENABLE = Param("notification_enable", True)
QUOTA_PER_PROJECT_ENABLE = Param("quota_per_project_enable", True)
STORAGE_PER_PROJECT = Param("storage_per_project", -1, _quota)
RETENTION_DELETE_LIMIT = Param("retention_delete_limit", 90, _percent)  # of the artifacts that a run judges
BANNER_MESSAGE = Param("banner_message", "")
SCANNER_SKIP_UPDATE_PULLTIME = Param("scanner_skip_update_pulltime", False)
AUDIT_LOG_FORWARD_ENDPOINT = Param("audit_log_forward_endpoint", "")
SKIP_AUDIT_LOG_DATABASE = Param("skip_audit_log_database", False)
DISABLED_AUDIT_LOG_EVENT_TYPES = Param("disabled_audit_log_event_types", "")

SIGN_IN_SOURCES = Param("sign_in_sources", " ".join(_boot.sign_in_sources), _readable(to.sources))
LDAP_URL = Param("ldap_url", _first.url, _address)
LDAP_START_TLS = Param("ldap_start_tls", _first.start_tls)
LDAP_VERIFY_CERT = Param("ldap_verify_cert", _first.verify_cert)
LDAP_CA_CERTIFICATE = Param("ldap_ca_certificate", _first.ca_certificates, _certificates)
LDAP_SEARCH_DN = Param("ldap_search_dn", _first.searchdn, _readable(directories.dn))
LDAP_SEARCH_PASSWORD = Param("ldap_search_password", _first.search_pwd, secret=True)
LDAP_BASE_DN = Param("ldap_base_dn", _first.basedn, _base_dn)
LDAP_FILTER = Param("ldap_filter", _first.filter, _readable(directories.search_filter))
LDAP_UID = Param("ldap_uid", _first.uid, _readable(directories.attribute))
LDAP_SCOPE = Param("ldap_scope", _first.scope, _SCOPES)
LDAP_TIMEOUT = Param("ldap_timeout", _first.timeout, _positive)
LDAP_GROUP_BASE_DN = Param("ldap_group_base_dn", _first.group_basedn, _readable(directories.dn))
LDAP_GROUP_ADMIN_DN = Param("ldap_group_admin_dn", _first.group_admin_dn, _readable(directories.dn))
LDAP_GROUP_ATTRIBUTE_NAME = Param(
    "ldap_group_attribute_name", _first.group_gid, _readable(directories.attribute_or_nothing)
)
LDAP_GROUP_SEARCH_FILTER = Param("ldap_group_search_filter", _first.group_filter, _readable(directories.search_filter))
LDAP_GROUP_SEARCH_SCOPE = Param("ldap_group_search_scope", _first.group_scope, _SCOPES)
LDAP_GROUP_MEMBERSHIP_ATTRIBUTE = Param(
    "ldap_group_membership_attribute", _first.group_membership_attribute, _readable(directories.attribute_or_nothing)
)
LDAP_GROUP_ATTACH_PARALLEL = Param("ldap_group_attach_parallel", False)

UAA_CLIENT_ID = Param("uaa_client_id", "")
UAA_CLIENT_SECRET = Param("uaa_client_secret", "", secret=True)
UAA_ENDPOINT = Param("uaa_endpoint", "")
UAA_VERIFY_CERT = Param("uaa_verify_cert", False)
HTTP_AUTHPROXY_ENDPOINT = Param("http_authproxy_endpoint", "")
HTTP_AUTHPROXY_TOKENREVIEW_ENDPOINT = Param("http_authproxy_tokenreview_endpoint", "")
HTTP_AUTHPROXY_ADMIN_GROUPS = Param("http_authproxy_admin_groups", "")
HTTP_AUTHPROXY_ADMIN_USERNAMES = Param("http_authproxy_admin_usernames", "")
HTTP_AUTHPROXY_SERVER_CERTIFICATE = Param("http_authproxy_server_certificate", "")
HTTP_AUTHPROXY_VERIFY_CERT = Param("http_authproxy_verify_cert", True)
HTTP_AUTHPROXY_SKIP_SEARCH = Param("http_authproxy_skip_search", False)

OIDC_NAME = Param("oidc_name", "")
OIDC_ENDPOINT = Param("oidc_endpoint", "")
OIDC_CLIENT_ID = Param("oidc_client_id", "")
OIDC_CLIENT_SECRET = Param("oidc_client_secret", "", secret=True)
OIDC_GROUPS_CLAIM = Param("oidc_groups_claim", "")
OIDC_ADMIN_GROUP = Param("oidc_admin_group", "")
OIDC_GROUP_FILTER = Param("oidc_group_filter", "")
OIDC_SCOPE = Param("oidc_scope", "")
OIDC_USER_CLAIM = Param("oidc_user_claim", "")
OIDC_VERIFY_CERT = Param("oidc_verify_cert", True)
OIDC_AUTO_ONBOARD = Param("oidc_auto_onboard", False)
OIDC_LOGOUT = Param("oidc_logout", False)
OIDC_EXTRA_REDIRECT_PARMS = Param("oidc_extra_redirect_parms", "{}")

PARAMS: Mapping[str, Param[Any]] = {p.key: p for p in list(globals().values()) if isinstance(p, Param)}

_cache: dict[str, Any] = {}
_read_at = float("-inf")


def get(param: Param[T]) -> T:
    """The value in force."""
    stored = _stored()
    value: T = stored.get(param.key, param.default)
    return unseal(value) if param.secret and param.key in stored and isinstance(value, str) else value


def update(values: Mapping[str, bool | int | str]) -> None:
    """Keep `values` (already validated); readers in this process see them once the transaction commits."""
    from projects.models import Setting

    with transaction.atomic():
        for key, value in values.items():
            kept = seal(value) if PARAMS[key].secret and isinstance(value, str) else value
            Setting.objects.update_or_create(key=key, defaults={"value": kept})
        transaction.on_commit(forget)


def forget() -> None:
    """Read the rows again at the next question."""
    global _read_at
    _read_at = float("-inf")


def _stored() -> Mapping[str, Any]:
    global _cache, _read_at
    if time.monotonic() - _read_at > _FRESH_SECONDS:
        _cache = dict(_rows())
        _read_at = time.monotonic()
    return _cache


@prepared
def _rows() -> QuerySet[Setting, tuple[str, Any]]:
    from projects.models import Setting

    return Setting.objects.order_by().values_list("key", "value")
