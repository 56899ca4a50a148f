"""Instances that could preheat. What they are told is of policies, and there are none: nothing is preheated here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Never, TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Created, Done, Paged, Refused, Time
from harborsite.api.paging import paged, paged_list
from harborsite.api.query import Column, to_flag, to_number
from harborsite.errors import NotFound
from projects.api.base import ApiView, ProjectView
from replication.models import PreheatInstance
from replication.preheat import instances

COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "description": Column("description"),
    "vendor": Column("vendor"),
    "endpoint": Column("endpoint"),
    "auth_mode": Column("auth_mode"),
    "enabled": Column("enabled", to_flag),
    "default": Column("is_default", to_flag),
}


class Provider(TypedDict):
    id: str
    name: str
    icon: str
    maintainers: list[str]
    version: str
    source: str


PROVIDERS: list[Provider] = [
    {
        "id": "dragonfly",
        "name": "Dragonfly",
        "icon": "https://raw.githubusercontent.com/dragonflyoss/Dragonfly2/master/docs/images/logo/"
        "dragonfly-linear.png",
        "maintainers": ["chlins.zhang@gmail.com", "gaius.qi@gmail.com"],
        "version": "2.1.59",
        "source": "https://github.com/dragonflyoss/Dragonfly2",
    },
    {
        "id": "kraken",
        "name": "Kraken",
        "icon": "https://github.com/uber/kraken/blob/master/assets/kraken-logo-color.svg",
        "maintainers": ["mmpei/peimingming@corp.netease.com"],
        "version": "0.1.3",
        "source": "https://github.com/uber/kraken",
    },
]


class ShownInstance(TypedDict):
    id: int
    name: str
    description: str
    vendor: str
    endpoint: str
    auth_mode: str
    status: str
    enabled: bool
    default: bool
    insecure: bool
    setup_timestamp: int


class ProviderOfProject(TypedDict):
    id: int
    provider: str
    enabled: bool
    default: bool


class ShownPolicy(TypedDict):
    id: int
    name: str
    description: str
    project_id: int
    provider_id: int
    provider_name: str
    filters: str
    trigger: str
    enabled: bool
    extra_attrs: str
    creation_time: Time
    update_time: Time


class ProvidersView(ApiView):
    actions = {"GET": "preheat-instance:list"}

    def get(self, request: Request) -> Answer[list[Provider]]:
        return Answer(PROVIDERS)


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    id: int = 0
    name: str = ""
    description: str = ""
    vendor: str = ""
    endpoint: str = ""
    auth_mode: str = "NONE"
    auth_info: dict[str, str] = field(default_factory=dict)
    enabled: bool = False
    default: bool = False
    insecure: bool = False

    def described(self) -> instances.Description:
        return instances.Description(
            name=self.name,
            vendor=self.vendor,
            endpoint=self.endpoint,
            description=self.description,
            auth_mode=self.auth_mode,
            auth_info=self.auth_info,
            enabled=self.enabled,
            is_default=self.default,
            insecure=self.insecure,
        )


def render(instance: PreheatInstance) -> ShownInstance:
    return {
        "id": instance.pk,
        "name": instance.name,
        "description": instance.description,
        "vendor": instance.vendor,
        "endpoint": instance.endpoint,
        "auth_mode": instance.auth_mode,
        "status": "Unknown",
        "enabled": instance.enabled,
        "default": instance.is_default,
        "insecure": instance.insecure,
        "setup_timestamp": int(instance.setup_time.timestamp()),
    }


def find(name: str) -> PreheatInstance:
    instance = PreheatInstance.objects.filter(name=name).first()
    if instance is None:
        raise NotFound(f"instance {name[:100]} not found")
    return instance


class InstancesView(ApiView):
    actions = {"GET": "preheat-instance:list", "POST": "preheat-instance:create"}

    def get(self, request: Request) -> Paged[ShownInstance]:
        rows: QuerySet[PreheatInstance] = PreheatInstance.objects.all()
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-setup_time", "-pk"))
        return paged(request, rows, lambda found: [render(instance) for instance in found])

    def post(self, request: Request) -> Created:
        new = body.read(request, InstanceRequest).described()
        instance = instances.create(description=new, actor=self.who)
        return Created(f"/api/v2.0/p2p/preheat/instances/{instance.name}")


class InstancePingView(ApiView):
    actions = {"POST": "preheat-instance:create"}

    def post(self, request: Request) -> Done | Refused:
        """With an id the stored one is asked, whatever else is given."""
        asked = body.read(request, InstanceRequest)
        if asked.id:
            instances.ping_stored(instance=_numbered(asked.id))
        elif not asked.endpoint:
            return Refused()
        else:
            instances.ping(description=asked.described())
        return Done()


class InstanceView(ApiView):
    actions = {
        "GET": "preheat-instance:read",
        "PUT": "preheat-instance:update",
        "DELETE": "preheat-instance:delete",
    }

    def get(self, request: Request, preheat_instance_name: str) -> Answer[ShownInstance]:
        return Answer(render(find(preheat_instance_name)))

    def put(self, request: Request, preheat_instance_name: str) -> Done:
        """The one that the body's id says, as Harbor has it; a name may change."""
        new = body.read(request, InstanceRequest)
        instances.update(instance=_numbered(new.id), description=new.described(), actor=self.who)
        return Done()

    def delete(self, request: Request, preheat_instance_name: str) -> Done:
        instances.delete(instance=find(preheat_instance_name), actor=self.who)
        return Done()


def _numbered(instance_id: int) -> PreheatInstance:
    instance = PreheatInstance.objects.filter(pk=instance_id).first()
    if instance is None:
        raise NotFound(f"instance {instance_id} not found")
    return instance


class ProjectProvidersView(ProjectView):
    actions = {"GET": "preheat-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[list[ProviderOfProject]]:
        return Answer(
            [
                {
                    "id": instance.pk,
                    "provider": f"{instance.vendor} {instance.name}-{instance.endpoint}",
                    "enabled": instance.enabled,
                    "default": instance.is_default,
                }
                for instance in PreheatInstance.objects.all()
            ]
        )


class PreheatPoliciesView(ProjectView):
    actions = {"GET": "preheat-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownPolicy]:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [], list)


class PreheatPolicyView(ProjectView):
    actions = {
        "GET": "preheat-policy:read",
        "PUT": "preheat-policy:update",
        "DELETE": "preheat-policy:delete",
    }

    def get(self, request: Request, project_name_or_id: str, preheat_policy_name: str) -> Never:
        raise NotFound(f"preheat policy {preheat_policy_name[:100]} not found")

    put = delete = get
