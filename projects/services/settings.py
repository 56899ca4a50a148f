"""Changing the settings of the running system."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from audit.switches import Switches
from harborsite.config import current
from harborsite.errors import BadRequest
from harborsite.outbound import AddressRefused, Unreachable, addresses
from harborsite.principal import Principal
from projects import params
from projects.models import User
from projects.models.user import ADMIN_ID
from projects.params import PARAMS

Value = bool | int | str
_DIAL_SECONDS = 3.0


def auth_mode_is_fixed() -> bool:
    """The sign-in source can change only while nobody but the built-in administrator is there."""
    return User.objects.living().exclude(pk=ADMIN_ID).exists()


def change_settings(*, values: Mapping[str, object], actor: Principal) -> None:
    """Check all of `values` and keep them; one that does not fit keeps all of them out. Unknown keys are dropped."""
    fitting = checked(values)
    if not fitting:
        return
    with transaction.atomic():
        params.update(fitting)
        audit.record(
            actor=actor,
            operation=Operation.UPDATE,
            resource_type=ResourceType.CONFIGURATION,
            resource="configuration",
            data={"keys": sorted(fitting)},
        )


def checked(values: Mapping[str, object]) -> dict[str, Value]:
    """Those of `values` that are settings; raises BadRequest where one does not fit, by itself or with the others."""
    fitting: dict[str, Value] = {}
    for key, value in values.items():
        param = PARAMS.get(key)
        if param is None or value is None:
            continue
        fitting[key] = _fitting(param, value)
    _check_together(fitting)
    return fitting


def _fitting(param: params.Param[Any], value: object) -> Value:
    try:
        if param.accepts(value) and isinstance(value, (bool, int, str)):
            return value
    except ValueError as reason:
        text = _("invalid value for {key}: {reason}").format(key=param.key, reason=reason)
        raise BadRequest(text) from None
    raise BadRequest(_("invalid value for {key}").format(key=param.key))


def audit_switches() -> Switches:
    """What becomes of records. The endpoint that is set at run time goes before that of harbor.cfg."""
    endpoint = params.get(params.AUDIT_LOG_FORWARD_ENDPOINT)
    destination = f"tcp://{endpoint}" if endpoint else current().syslog_url
    disabled = params.get(params.DISABLED_AUDIT_LOG_EVENT_TYPES)
    return Switches(
        destination=destination,
        checked=bool(endpoint),
        keep=not (destination and params.get(params.SKIP_AUDIT_LOG_DATABASE)),
        disabled=frozenset(event.strip().lower() for event in disabled.split(",")) if disabled else frozenset(),
    )


def _check_together(values: Mapping[str, Value]) -> None:
    """Rules that join several settings."""
    now = {key: values.get(key, params.get(param)) for key, param in PARAMS.items()}
    mode = values.get(params.AUTH_MODE.key)
    if mode is not None and mode != params.get(params.AUTH_MODE) and auth_mode_is_fixed():
        raise BadRequest(_("the auth mode cannot be modified as new users have been inserted into database"))
    if values.get(params.LDAP_GROUP_SEARCH_FILTER.key) and not (
        now[params.LDAP_GROUP_ATTRIBUTE_NAME.key] and now[params.LDAP_GROUP_MEMBERSHIP_ATTRIBUTE.key]
    ):
        raise BadRequest(
            _("ldap_group_search_filter needs ldap_group_attribute_name and ldap_group_membership_attribute")
        )
    endpoint = now[params.AUDIT_LOG_FORWARD_ENDPOINT.key]
    if now[params.SKIP_AUDIT_LOG_DATABASE.key] and not endpoint and not current().syslog_url:
        raise BadRequest(_("audit log forward endpoint should be configured before enable skip audit log in database"))
    if endpoint and params.AUDIT_LOG_FORWARD_ENDPOINT.key in values:
        _dial(str(endpoint))


def _dial(endpoint: str) -> None:
    """Only where the server may call it at all; raises BadRequest."""
    host, _colon, port = endpoint.rpartition(":")
    try:
        found = addresses.resolve(host.strip("[]"), int(port))[0]
        socket.create_connection((str(found.sockaddr[0]), int(port)), timeout=_DIAL_SECONDS).close()
    except AddressRefused:
        raise
    except (Unreachable, OSError, ValueError, OverflowError):
        raise BadRequest(_("could not connect to the audit endpoint: {endpoint}").format(endpoint=endpoint)) from None
