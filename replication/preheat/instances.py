"""Instances of peer-to-peer distributors: described, asked whether they are there, forgotten."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest
from harborsite.outbound import Client, Origin, OutboundError
from harborsite.principal import Principal
from harborsite.sealing import seal, unseal
from replication.errors import InstanceExists
from replication.models import PreheatInstance

NAME = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
AUTH_MODES = frozenset({"NONE", "BASIC", "OAUTH", "CUSTOM"})
HEALTH = {"dragonfly": "/healthy", "kraken": "/health"}
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said about an instance; `auth_info` is plain here, and empty leaves the stored one."""

    name: str
    vendor: str
    endpoint: str
    description: str = ""
    auth_mode: str = "NONE"
    auth_info: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    is_default: bool = False
    insecure: bool = False


def check_name(name: str, instance: PreheatInstance | None = None) -> None:
    """Raise where another instance has this name."""
    found = PreheatInstance.objects.filter(name=name).first()
    if found and found != instance:
        raise InstanceExists(_("instance {name} already exists").format(name=name))


def create(*, description: Description, actor: Principal) -> PreheatInstance:
    """Whether it answers is not asked: it may be set up later."""
    check_name(description.name)
    instance = PreheatInstance()
    _fill(instance, description)
    _save(instance, Operation.CREATE, actor)
    return instance


def update(*, instance: PreheatInstance, description: Description, actor: Principal) -> None:
    if description.vendor != instance.vendor:
        raise BadRequest(_("the provider of an instance does not change"))
    _fill(instance, description)
    _save(instance, Operation.UPDATE, actor)


def delete(*, instance: PreheatInstance, actor: Principal) -> None:
    with transaction.atomic():
        _record(instance, Operation.DELETE, actor)
        PreheatInstance.objects.filter(pk=instance.pk).delete()


def set_enabled(*, instance: PreheatInstance, enabled: bool, actor: Principal) -> None:
    instance.enabled = enabled
    _save(instance, Operation.UPDATE, actor)


def make_default(*, instance: PreheatInstance, actor: Principal) -> None:
    """The one that was is no more."""
    instance.is_default = True
    _save(instance, Operation.UPDATE, actor)


def ping(*, description: Description, instance: PreheatInstance | None = None) -> None:
    """Raise OutboundError unless an instance so described answers; nothing is stored.

    With an `instance` it is asked as it would be after `update`.
    """
    asked = instance or PreheatInstance()
    _fill(asked, description)
    ping_stored(instance=asked)


def ping_stored(*, instance: PreheatInstance) -> None:
    path = HEALTH.get(instance.vendor)
    if path is None:
        raise BadRequest(_("unknown provider: {vendor}").format(vendor=instance.vendor))
    address = instance.endpoint + path
    with (
        Client(verify=not instance.insecure, timeout=TIMEOUT_SECONDS) as client,
        client.request("GET", address, headers=_credentials(instance)) as answer,
    ):
        if answer.status != 200:
            raise OutboundError(_("{url} answers with {status}").format(url=address, status=answer.status))


def _credentials(instance: PreheatInstance) -> dict[str, str]:
    known: dict[str, str] = json.loads(unseal(instance.auth_info) or "{}")
    match instance.auth_mode:
        case "BASIC":
            pair = f"{known.get('username', '')}:{known.get('password', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case "OAUTH":
            return {"Authorization": f"Bearer {known.get('token', '')}"}
        case _:
            return {}


def _fill(instance: PreheatInstance, given: Description) -> None:
    """Stored credentials never go to another place or under weaker checks."""
    if not NAME.fullmatch(given.name) or len(given.name) > 63:
        raise BadRequest(_("the name may have letters, digits and single . _ - between them, 63 at most"))
    if given.auth_mode not in AUTH_MODES:
        raise BadRequest(_("auth type {type} is not supported").format(type=given.auth_mode[:32]))
    endpoint = given.endpoint.strip().rstrip("/")
    Origin.of(endpoint)
    for text, most in ((given.vendor, 64), (endpoint, 255), (given.description, 1024)):
        if len(text) > most:
            raise BadRequest(_("at most {count} characters are kept").format(count=most))
    moved = endpoint != instance.endpoint or given.auth_mode != instance.auth_mode
    if moved or (given.insecure and not instance.insecure):
        instance.auth_info = ""
    if given.auth_info:
        instance.auth_info = seal(json.dumps(dict(given.auth_info)))
    instance.name, instance.description, instance.vendor = given.name, given.description, given.vendor
    instance.endpoint, instance.auth_mode = endpoint, given.auth_mode
    instance.enabled, instance.is_default, instance.insecure = given.enabled, given.is_default, given.insecure


def _save(instance: PreheatInstance, operation: Operation, actor: Principal) -> None:
    try:
        with transaction.atomic():
            if instance.is_default:
                PreheatInstance.objects.exclude(pk=instance.pk).update(is_default=False)
            instance.save()
            _record(instance, operation, actor)
    except IntegrityError:
        raise InstanceExists from None


def _record(instance: PreheatInstance, operation: Operation, actor: Principal) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.CONFIGURATION,
        resource=f"preheat instance {instance.name}",
    )
