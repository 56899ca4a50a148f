"""Replication policies: making, changing and removing them, with their schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, PreconditionFailed
from harborsite.jobs import cron, schedules
from harborsite.jobs.models import FINAL, Execution
from harborsite.principal import Principal
from registry.oci import grammar
from replication import filters
from replication.errors import PolicyBusy, PolicyExists, RegistryUnknown
from replication.models import VENDOR_TYPE, Registry, ReplicationPolicy

MAX_NAME = 255
_INT8, _INT32 = 127, 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said about a policy; the registry's id is 0 on the side that is this registry."""

    name: str
    description: str = ""
    src_registry: int = 0
    dest_registry: int = 0
    dest_namespace: str = ""
    dest_namespace_replace_count: int = -1
    filters: Sequence[Mapping[str, Any]] = field(default_factory=list)
    trigger: str = ReplicationPolicy.Trigger.MANUAL
    cron: str = ""
    replicate_deletion: bool = False
    override: bool = False
    enabled: bool = False
    speed: int = 0
    copy_by_chunk: bool = False
    single_active_replication: bool = False


def check_name(name: str, policy: ReplicationPolicy | None = None) -> None:
    """Raise where another policy has this name."""
    found = ReplicationPolicy.objects.filter(name=name).first()
    if found and found != policy:
        raise PolicyExists(_("replication policy {name} already exists").format(name=name))


def create_policy(*, description: Description, actor: Principal) -> ReplicationPolicy:
    policy = ReplicationPolicy(creator=actor.username)
    _fill(policy, description)
    _save(policy, Operation.CREATE, actor)
    return policy


def update_policy(*, policy: ReplicationPolicy, description: Description, actor: Principal) -> ReplicationPolicy:
    _fill(policy, description)
    _save(policy, Operation.UPDATE, actor)
    return policy


def set_enabled(*, policy: ReplicationPolicy, enabled: bool, actor: Principal) -> None:
    policy.enabled = enabled
    _save(policy, Operation.UPDATE, actor)


def delete_policy(*, policy: ReplicationPolicy, actor: Principal) -> None:
    """Remove a policy that does nothing at present, with what is known of its executions."""
    executions = Execution.objects.filter(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
    if executions.exclude(status__in=FINAL).exists():
        raise PolicyBusy
    with transaction.atomic():
        schedules.remove(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
        executions.delete()
        _record(policy, Operation.DELETE, actor)
        policy.delete()


def _fill(policy: ReplicationPolicy, given: Description) -> None:
    if not given.name:
        raise BadRequest(_("empty name"))
    if len(given.name) > MAX_NAME:
        raise BadRequest(_("the name may have {count} characters at most").format(count=MAX_NAME))
    _check_trigger(given)
    if given.dest_namespace and not grammar.is_repository_name(given.dest_namespace):
        raise BadRequest(_("invalid destination namespace: {name}").format(name=given.dest_namespace[:255]))
    if not -_INT8 - 1 <= given.dest_namespace_replace_count <= _INT8:
        raise BadRequest(_("invalid flattening level: {level}").format(level=given.dest_namespace_replace_count))
    policy.filters = filters.checked(given.filters)
    policy.src_registry, policy.dest_registry = _sides(given)
    policy.cron = given.cron if given.trigger == ReplicationPolicy.Trigger.SCHEDULED else ""
    policy.speed = min(max(given.speed, 0), _INT32)
    for name in ("name", "description", "dest_namespace", "dest_namespace_replace_count", "trigger"):
        setattr(policy, name, getattr(given, name))
    for name in ("replicate_deletion", "override", "enabled", "copy_by_chunk", "single_active_replication"):
        setattr(policy, name, getattr(given, name))


def _check_trigger(given: Description) -> None:
    if given.trigger not in ReplicationPolicy.Trigger.values:
        raise BadRequest(_("invalid trigger type"))
    if given.trigger == ReplicationPolicy.Trigger.EVENT_BASED:
        if given.src_registry:
            raise BadRequest(_("only what happens in this registry can trigger a policy"))
        if given.single_active_replication:
            raise BadRequest(_("single active replication and the event based trigger exclude each other"))
    if given.trigger == ReplicationPolicy.Trigger.SCHEDULED:
        parts = cron_parts(given.cron)
        if parts[0] != "0":
            raise BadRequest(_("the 1st field (indicating Seconds of time) of the cron setting must be 0"))
        if parts[1] == "*":
            raise BadRequest(_("* is not allowed for the Minutes field of the cron setting of replication policy"))


def cron_parts(expression: str) -> list[str]:
    """The six fields of a cron expression that names a moment."""
    parts = expression.split()
    try:
        cron.check(" ".join(["0", *parts[1:]]))
    except BadRequest:
        message = _("invalid cron string for scheduled trigger: {cron}")
        raise BadRequest(message.format(cron=expression[:64])) from None
    return parts


def _sides(given: Description) -> tuple[Registry | None, Registry | None]:
    if bool(given.src_registry) == bool(given.dest_registry):
        raise BadRequest(_("either src_registry or dest_registry should be empty and the other one shouldn't be empty"))
    wanted = given.src_registry or given.dest_registry
    registry = Registry.objects.filter(pk=wanted).first()
    if registry is None:
        raise RegistryUnknown(_("registry {id} not found").format(id=wanted))
    return (registry, None) if given.src_registry else (None, registry)


def _save(policy: ReplicationPolicy, operation: Operation, actor: Principal) -> None:
    with transaction.atomic():
        try:
            with transaction.atomic():
                policy.save()
        except IntegrityError:
            check_name(policy.name, policy)
            raise PreconditionFailed(_("the registry has just been deleted")) from None
        if policy.enabled and policy.trigger == ReplicationPolicy.Trigger.SCHEDULED:
            schedules.put(vendor_type=VENDOR_TYPE, vendor_id=policy.pk, expression=policy.cron)
        else:
            schedules.remove(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
        _record(policy, operation, actor)


def _record(policy: ReplicationPolicy, operation: Operation, actor: Principal) -> None:
    audit.record(actor=actor, operation=operation, resource_type=ResourceType.REPLICATION_POLICY, resource=policy.name)
