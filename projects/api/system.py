"""Whether the system lives, and what it says about itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NotRequired, TypedDict

from django.contrib import admin
from django.db import connection
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from harborsite import __version__, config
from harborsite.api import openapi
from harborsite.api.answers import Answer, Content, Text, Time
from harborsite.api.negotiation import JsonOrText
from harborsite.api.wire import stamp
from harborsite.errors import NotFound
from harborsite.jobs import queue
from harborsite.jobs.models import Worker
from projects import params
from projects.api.base import ANYONE, ApiView

HARBOR_VERSION = "v2.16.0"  # whose interface this is: clients compare it
_BEATS_STOP_AFTER = timedelta(minutes=2)


class Component(TypedDict):
    name: str
    status: str
    error: NotRequired[str]


class Health(TypedDict):
    status: str
    components: list[Component]


class SystemInfo(TypedDict):
    """Visitors are told no more than what they need to sign in."""

    auth_mode: str
    primary_auth_mode: bool
    self_registration: bool
    banner_message: str
    oidc_provider_name: str
    has_ca_root: NotRequired[bool]
    project_creation_restriction: NotRequired[str]
    harbor_version: NotRequired[str]
    external_url: NotRequired[str]
    registry_url: NotRequired[str]
    read_only: NotRequired[bool]
    registry_storage_provider_name: NotRequired[str]
    notification_enable: NotRequired[bool]
    current_time: NotRequired[Time]


class Volume(TypedDict):
    total: int
    free: int


class Volumes(TypedDict):
    storage: list[Volume]


class PingView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Text:
        return Text("Pong")


class VersionView(ApiView):
    """Clients ask here first, and go on below `/api/v2.0`."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse('{"version":"v2.0"}\n', content_type="text/plain; charset=utf-8")


class HealthView(ApiView):
    """Always 200; the names are those of Harbor's parts, which are all of this one here."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Answer[Health]:
        found = components()
        healthy = all(component["status"] == "healthy" for component in found)
        return Answer({"status": "healthy" if healthy else "unhealthy", "components": found})


def components() -> list[Component]:
    """How each part does, asked now."""
    checks: dict[str, Callable[[], None]] = {
        "core": _nothing,
        "database": _check_database,
        "jobservice": _check_jobs,
        "portal": _nothing,
        "redis": queue.check,
        "registry": _check_storage,
        "registryctl": _nothing,
    }
    return [_component(name, check) for name, check in checks.items()]


class SystemInfoView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Answer[SystemInfo]:
        shape: SystemInfo = {
            "auth_mode": params.get(params.AUTH_MODE),
            "primary_auth_mode": params.get(params.PRIMARY_AUTH_MODE),
            "self_registration": params.get(params.SELF_REGISTRATION),
            "banner_message": params.get(params.BANNER_MESSAGE),
            "oidc_provider_name": params.get(params.OIDC_NAME),
        }
        return Answer(self._for_insiders(shape) if self.who.is_authenticated else shape)

    def _for_insiders(self, shape: SystemInfo) -> SystemInfo:
        boot = config.current()
        return {
            **shape,
            "has_ca_root": config.current().ca_file.is_file(),
            "project_creation_restriction": params.get(params.PROJECT_CREATION_RESTRICTION),
            "harbor_version": f"{HARBOR_VERSION}-harborsite.{__version__}",
            "external_url": boot.external_url,
            "registry_url": boot.registry_host,
            "read_only": params.get(params.READ_ONLY),
            "registry_storage_provider_name": boot.storage.partition(":")[0],
            "notification_enable": params.get(params.NOTIFICATION_ENABLE),
            "current_time": stamp(timezone.now()),
        }


class RootCertificateView(ApiView):
    """The certificate of the authority that signed the server's, for clients to trust."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Content:
        try:
            certificate = config.current().ca_file.read_bytes()
        except OSError:
            raise NotFound("resource not found: there is no root certificate") from None
        as_file = {"Content-Disposition": 'attachment; filename="ca.crt"'}
        return Content(certificate, content_type="application/x-x509-ca-cert", headers=as_file)


class VolumesView(ApiView):
    actions = {"GET": "system-volumes:read"}

    def get(self, request: Request) -> Answer[Volumes]:
        usage = shutil.disk_usage(config.current().data_volume)
        return Answer({"storage": [{"total": usage.total, "free": usage.free}]})


def _component(name: str, check: Callable[[], None]) -> Component:
    try:
        check()
    except queue.FAULTS as error:
        return {"name": name, "status": "unhealthy", "error": type(error).__name__}
    return {"name": name, "status": "healthy"}


def _nothing() -> None:
    """This answer is the proof."""


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _check_jobs() -> None:
    """Workers that were there and have fallen silent are a fault; a process that has none is not."""
    beats = Worker.objects.values_list("heartbeat", flat=True)
    newest = max(beats, default=None)
    if newest is not None and timezone.now() - newest > _BEATS_STOP_AFTER:
        raise OSError("no worker has been heard of")


def _check_storage() -> None:
    volume = config.current().data_volume
    if not os.access(volume, os.W_OK | os.X_OK):
        raise PermissionError(volume)


class UnknownView(ApiView):
    """The end of the road: what no route is for."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"path {request.path[:200]} was not found")


class Anything(JsonOrText):
    """A page is shown to whoever asks for one."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or "text/html"


class DocumentView(ApiView):
    """The OpenAPI document of this interface."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Answer[dict[str, Any]]:
        return Answer(openapi.document())


class ExplorerView(ApiView):
    """The same as a page to read, which needs nothing from other hosts."""

    actions = {"GET": ANYONE}
    content_negotiation_class = Anything

    def get(self, request: Request) -> HttpResponse:
        frame = admin.site.each_context(request._request)
        context = {**frame, "title": _("REST API"), "groups": openapi.grouped()}
        return render(request._request, "api/explorer.html", context)
