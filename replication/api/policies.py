"""Replication policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import stamp, without_empty
from harborsite.errors import NotFound
from projects.api.base import ApiView
from replication.api.registries import ShownRegistry, render_local
from replication.api.registries import render as render_registry
from replication.models import Registry, ReplicationPolicy
from replication.services import policies

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "description": Column("description"),
    "creator": Column("creator"),
    "src_registry_id": Column("src_registry_id", to_number),
    "dest_registry_id": Column("dest_registry_id", to_number),
    "dest_namespace": Column("dest_namespace"),
    "override": Column("override", to_flag),
    "enabled": Column("enabled", to_flag),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class RegistryReference:
    id: int = 0


@dataclass(frozen=True, slots=True)
class FilterShape:
    type: str = ""
    value: Any = None
    decoration: str = ""


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    cron: str = ""


@dataclass(frozen=True, slots=True)
class TriggerShape:
    type: str = ReplicationPolicy.Trigger.MANUAL
    trigger_settings: TriggerSettings = TriggerSettings()


@dataclass(frozen=True, slots=True)
class PolicyShape:
    name: str = ""
    description: str = ""
    src_registry: RegistryReference = RegistryReference()
    dest_registry: RegistryReference = RegistryReference()
    dest_namespace: str = ""
    dest_namespace_replace_count: int = -1
    trigger: TriggerShape = TriggerShape()
    filters: list[FilterShape] = field(default_factory=list)
    replicate_deletion: bool = False
    deletion: bool = False
    override: bool = False
    enabled: bool = False
    speed: int = 0
    copy_by_chunk: bool = False
    single_active_replication: bool = False

    def described(self) -> policies.Description:
        same = (
            *("name", "description", "dest_namespace", "dest_namespace_replace_count", "override", "enabled"),
            *("speed", "copy_by_chunk", "single_active_replication"),
        )
        return policies.Description(
            **{name: getattr(self, name) for name in same},
            src_registry=self.src_registry.id,
            dest_registry=self.dest_registry.id,
            filters=[{"type": each.type, "value": each.value, "decoration": each.decoration} for each in self.filters],
            trigger=self.trigger.type,
            cron=self.trigger.trigger_settings.cron,
            replicate_deletion=self.replicate_deletion or self.deletion,
        )


class ShownFilter(TypedDict):
    """The value is a text, or for labels a list of them."""

    type: str
    value: Any
    decoration: NotRequired[str]


class ShownSettings(TypedDict):
    cron: NotRequired[str]


class ShownTrigger(TypedDict):
    type: str
    trigger_settings: ShownSettings


class ShownPolicy(TypedDict):
    id: int
    name: str
    description: NotRequired[str]
    src_registry: ShownRegistry
    dest_registry: ShownRegistry
    dest_namespace: NotRequired[str]
    dest_namespace_replace_count: int
    filters: list[ShownFilter]
    trigger: ShownTrigger
    replicate_deletion: NotRequired[bool]
    deletion: NotRequired[bool]
    override: NotRequired[bool]
    enabled: NotRequired[bool]
    speed: int
    copy_by_chunk: bool
    single_active_replication: bool
    creation_time: Time
    update_time: Time


def render(policy: ReplicationPolicy) -> ShownPolicy:
    shape: ShownPolicy = {
        "id": policy.pk,
        "name": policy.name,
        "description": policy.description,
        "src_registry": _side(policy.src_registry),
        "dest_registry": _side(policy.dest_registry),
        "dest_namespace": policy.dest_namespace,
        "dest_namespace_replace_count": policy.dest_namespace_replace_count,
        "filters": policy.filters,
        "trigger": {"type": policy.trigger, "trigger_settings": {"cron": policy.cron} if policy.cron else {}},
        "replicate_deletion": policy.replicate_deletion,
        "deletion": policy.replicate_deletion,
        "override": policy.override,
        "enabled": policy.enabled,
        "speed": policy.speed,
        "copy_by_chunk": policy.copy_by_chunk,
        "single_active_replication": policy.single_active_replication,
        "creation_time": stamp(policy.creation_time),
        "update_time": stamp(policy.update_time),
    }
    optional = ("description", "dest_namespace", "replicate_deletion", "deletion", "override", "enabled")
    return without_empty(shape, *optional)


def _side(registry: Registry | None) -> ShownRegistry:
    return render_registry(registry) if registry else render_local()


def find(policy_id: int) -> ReplicationPolicy:
    rows = ReplicationPolicy.objects.select_related("src_registry", "dest_registry")
    policy = rows.filter(pk=policy_id).first()
    if policy is None:
        raise NotFound(f"replication policy {policy_id} not found")
    return policy


class PoliciesView(ApiView):
    actions = {"GET": "replication-policy:list", "POST": "replication-policy:create"}

    def get(self, request: Request) -> Paged[ShownPolicy]:
        rows = ReplicationPolicy.objects.select_related("src_registry", "dest_registry")
        if name := request.GET.get("name"):
            rows = rows.filter(name__icontains=name)
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
        return paged(request, rows, lambda found: [render(policy) for policy in found])

    def post(self, request: Request) -> Created:
        new = body.read(request, PolicyShape)
        policy = policies.create_policy(description=new.described(), actor=self.who)
        return Created(f"/api/v2.0/replication/policies/{policy.pk}")


class PolicyView(ApiView):
    actions = {
        "GET": "replication-policy:read",
        "PUT": "replication-policy:update",
        "DELETE": "replication-policy:delete",
    }

    def get(self, request: Request, id: int) -> Answer[ShownPolicy]:
        return Answer(render(find(id)))

    def put(self, request: Request, id: int) -> Done:
        policy, new = find(id), body.read(request, PolicyShape)
        policies.update_policy(policy=policy, description=new.described(), actor=self.who)
        return Done()

    def delete(self, request: Request, id: int) -> Done:
        policies.delete_policy(policy=find(id), actor=self.who)
        return Done()
