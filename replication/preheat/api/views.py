"""Preheat, as a Harbor answers that has no instance of a provider."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api import query
from harborsite.api.paging import paged_list
from harborsite.errors import NotFound
from projects.api.base import ApiView, ProjectView

PROVIDERS = (
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
)


class ProvidersView(ApiView):
    actions = {"GET": "preheat-instance:list"}

    def get(self, request: Request) -> Response:
        return Response(PROVIDERS)


class InstancesView(ApiView):
    actions = {"GET": "preheat-instance:list"}

    def get(self, request: Request) -> Response:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [])


class InstanceView(ApiView):
    actions = {
        "GET": "preheat-instance:read",
        "PUT": "preheat-instance:update",
        "DELETE": "preheat-instance:delete",
    }

    def get(self, request: Request, preheat_instance_name: str) -> Response:
        raise NotFound(f"instance {preheat_instance_name[:100]} not found")

    put = delete = get


class ProjectProvidersView(ProjectView):
    actions = {"GET": "preheat-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Response:
        return Response([])


class PreheatPoliciesView(ProjectView):
    actions = {"GET": "preheat-policy:list"}

    def get(self, request: Request, project_name_or_id: str) -> Response:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [])


class PreheatPolicyView(ProjectView):
    actions = {
        "GET": "preheat-policy:read",
        "PUT": "preheat-policy:update",
        "DELETE": "preheat-policy:delete",
    }

    def get(self, request: Request, project_name_or_id: str, preheat_policy_name: str) -> Response:
        raise NotFound(f"preheat policy {preheat_policy_name[:100]} not found")

    put = delete = get
