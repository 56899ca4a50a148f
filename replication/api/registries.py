"""Registries elsewhere, and the adapters that speak to them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NotRequired, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_number, to_time
from harborsite.api.wire import ZERO_TIME, stamp, without_empty
from harborsite.config import current
from harborsite.errors import BadRequest, NotFound
from harborsite.outbound import OutboundError
from projects.api.base import ApiView
from projects.models import Label
from replication.adapters.base import KINDS, CredentialPattern, EndpointPattern, connect, kind_of
from replication.models import Registry
from replication.services import registries

HIDDEN = "*****"
COLUMNS = {
    "id": Column("pk", to_number),
    "name": Column("name"),
    "type": Column("type"),
    "url": Column("url"),
    "insecure": Column("insecure", to_flag),
    "description": Column("description"),
    "status": Column("status"),
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}
LOCAL_TYPE = "harbor"


@dataclass(frozen=True, slots=True)
class Credential:
    type: str = ""
    access_key: str = ""
    access_secret: str = ""


@dataclass(frozen=True, slots=True)
class NewRegistry:
    name: str = ""
    type: str = ""
    url: str = ""
    description: str = ""
    insecure: bool = False
    ca_certificate: str = ""
    credential: Credential = Credential()


@dataclass(frozen=True, slots=True)
class Partial:
    """What may be given or left out where a registry is changed or tried."""

    url: str | None = None
    credential_type: str | None = None
    access_key: str | None = None
    access_secret: str | None = None
    insecure: bool | None = None
    ca_certificate: str | None = None

    def given(self) -> dict[str, Any]:
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


@dataclass(frozen=True, slots=True)
class RegistryUpdate(Partial):
    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryPing(Partial):
    id: int | None = None
    type: str | None = None


class ShownCredential(TypedDict):
    """A secret is shown as stars."""

    type: NotRequired[str]
    access_key: NotRequired[str]
    access_secret: NotRequired[str]


class ShownRegistry(TypedDict):
    id: int
    name: str
    description: NotRequired[str]
    type: str
    url: str
    credential: ShownCredential
    insecure: NotRequired[bool]
    status: NotRequired[str]
    creation_time: Time
    update_time: Time


class ShownFilter(TypedDict):
    type: str
    style: str
    values: list[str] | None


class RegistryInfo(TypedDict):
    type: str
    description: NotRequired[str]
    supported_resource_filters: list[ShownFilter]
    supported_triggers: list[str]
    supported_repository_path_component_type: str
    supported_copy_by_chunk: NotRequired[bool]


class AdapterInfo(TypedDict):
    """What stands in a form for a registry of this kind; null where anything may be written."""

    endpoint_pattern: EndpointPattern | None
    credential_pattern: CredentialPattern | None


def render(registry: Registry) -> ShownRegistry:
    credential: ShownCredential = {
        "type": registry.credential_type,
        "access_key": registry.access_key,
        "access_secret": HIDDEN if registry.access_secret else "",
    }
    shape: ShownRegistry = {
        "id": registry.pk,
        "name": registry.name,
        "description": registry.description,
        "type": registry.type,
        "url": registry.url,
        "credential": without_empty(credential, "type", "access_key", "access_secret"),
        "insecure": registry.insecure,
        "status": registry.status,
        "creation_time": stamp(registry.creation_time),
        "update_time": stamp(registry.update_time),
    }
    return without_empty(shape, "description", "insecure", "status")


def render_local() -> ShownRegistry:
    """This registry, which has the id 0."""
    return {
        "id": 0,
        "name": "Local",
        "type": LOCAL_TYPE,
        "url": f"http://127.0.0.1:{current().http_port}",
        "credential": {"type": "secret", "access_secret": HIDDEN},
        "insecure": True,
        "status": Registry.Status.HEALTHY,
        "creation_time": ZERO_TIME,
        "update_time": ZERO_TIME,
    }


def render_info(type_name: str, labels: list[str], *, local: bool) -> RegistryInfo:
    kind = kind_of(type_name)
    filters: list[ShownFilter] = [{"type": name, "style": "input", "values": None} for name in ("name", "tag")]
    if kind.by_label:
        filters.append({"type": "label", "style": "list", "values": labels})
    filters.append({"type": "resource", "style": "radio", "values": list(kind.resources)})
    shape: RegistryInfo = {
        "type": type_name,
        "description": "",
        "supported_resource_filters": filters,
        "supported_triggers": ["manual", "scheduled", *(["event_based"] if local else [])],
        "supported_repository_path_component_type": "",
        "supported_copy_by_chunk": kind.by_chunk,
    }
    return without_empty(shape, "description", "supported_copy_by_chunk")


def find(registry_id: int) -> Registry:
    registry = Registry.objects.filter(pk=registry_id).first()
    if registry is None:
        raise NotFound(f"registry {registry_id} not found")
    return registry


class RegistriesView(ApiView):
    actions = {"GET": "registry:list", "POST": "registry:create"}

    def get(self, request: Request) -> Paged[ShownRegistry]:
        rows = Registry.objects.all()
        if name := request.GET.get("name"):
            rows = rows.filter(name=name)
        rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
        rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
        return paged(request, rows, lambda found: [render(registry) for registry in found])

    def post(self, request: Request) -> Created:
        new = body.read(request, NewRegistry)
        description = registries.Description(
            name=new.name,
            type=new.type,
            url=new.url,
            description=new.description,
            credential_type=new.credential.type,
            access_key=new.credential.access_key,
            access_secret=new.credential.access_secret,
            insecure=new.insecure,
            ca_certificate=new.ca_certificate,
        )
        registry = registries.create_registry(description=description, actor=self.who)
        return Created(f"/api/v2.0/registries/{registry.pk}")


class RegistryPingView(ApiView):
    actions = {"POST": "registry:read"}

    def post(self, request: Request) -> Done:
        """With an id the stored address is asked, whatever else is given; credentials may be other ones."""
        asked = body.read(request, RegistryPing)
        given = asked.given()
        if asked.id is not None:
            names = {"credential_type", "access_key", "access_secret"}
            changes = {name: value for name, value in given.items() if name in names}
            registries.ping_stored(registry=find(asked.id), changes=changes)
            return Done()
        if not asked.type or not asked.url:
            raise BadRequest("type or url cannot be empty")
        registries.ping(description=registries.Description(name="", **given))
        return Done()


class RegistryView(ApiView):
    actions = {"GET": "registry:read", "PUT": "registry:update", "DELETE": "registry:delete"}

    def get(self, request: Request, id: int) -> Answer[ShownRegistry]:
        return Answer(render(find(id)) if id else render_local())

    def put(self, request: Request, id: int) -> Done:
        registry, changes = find(id), body.read(request, RegistryUpdate).given()
        if changes.get("access_secret") == HIDDEN:
            del changes["access_secret"]  # what a client had read here
        registries.update_registry(registry=registry, changes=changes, actor=self.who)
        return Done()

    def delete(self, request: Request, id: int) -> Done:
        registries.delete_registry(registry=find(id), actor=self.who)
        return Done()


class RegistryInfoView(ApiView):
    actions = {"GET": "registry:read"}

    def get(self, request: Request, id: int) -> Answer[RegistryInfo]:
        if not id:
            names = Label.objects.filter(space=0).order_by("name").values_list("name", flat=True)
            return Answer(render_info(LOCAL_TYPE, list(names), local=True))
        registry = find(id)
        labels: list[str] = []
        if kind_of(registry.type).by_label:
            try:
                with connect(registry) as adapter:
                    labels = adapter.label_names()
            except OutboundError:
                labels = []  # it is away: there is nothing to choose from, and the rest is known
        return Answer(render_info(registry.type, labels, local=False))


class AdaptersView(ApiView):
    actions = {"GET": "replication-adapter:list"}

    def get(self, request: Request) -> Answer[list[str]]:
        return Answer(sorted(KINDS))


class AdapterInfosView(ApiView):
    actions = {"GET": "replication-adapter:list"}

    def get(self, request: Request) -> Answer[dict[str, AdapterInfo]]:
        told = {name: kind for name, kind in KINDS.items() if kind.endpoints or kind.credentials}
        return Answer(
            {
                name: {
                    "endpoint_pattern": kind.endpoints,
                    "credential_pattern": kind.credentials,
                }
                for name, kind in sorted(told.items())
            }
        )
