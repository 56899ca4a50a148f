"""Preheat, as a Harbor answers that has no instance of a provider."""

from __future__ import annotations

from typing import Never, TypedDict

from rest_framework.request import Request

from harborsite.api import query
from harborsite.api.answers import Answer, Paged, Time
from harborsite.api.paging import paged_list
from harborsite.errors import NotFound
from projects.api.base import ApiView, ProjectView


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
    auth_info: dict[str, str]
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


class InstancesView(ApiView):
    actions = {"GET": "preheat-instance:list"}

    def get(self, request: Request) -> Paged[ShownInstance]:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [], list)


class InstanceView(ApiView):
    actions = {
        "GET": "preheat-instance:read",
        "PUT": "preheat-instance:update",
        "DELETE": "preheat-instance:delete",
    }

    def get(self, request: Request, preheat_instance_name: str) -> Never:
        raise NotFound(f"instance {preheat_instance_name[:100]} not found")

    put = delete = get


class ProjectProvidersView(ProjectView):
    actions = {"GET": "preheat-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Answer[list[ProviderOfProject]]:
        return Answer([])


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
