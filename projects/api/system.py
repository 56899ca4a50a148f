"""Whether the system lives, and what it says about itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db import Error, connection
from django.http import FileResponse, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from harborsite import __version__, config
from harborsite.api import openapi
from harborsite.api.negotiation import JsonOrText
from harborsite.api.wire import stamp
from harborsite.errors import NotFound
from harborsite.jobs.models import Worker
from projects import params
from projects.api.base import ANYONE, ApiView

HARBOR_VERSION = "v2.16.0"  # whose interface this is: clients compare it
_BEATS_STOP_AFTER = timedelta(minutes=2)


class PingView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("Pong", content_type="text/plain")


class VersionView(ApiView):
    """Clients ask here first, and go on below `/api/v2.0`."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse('{"version":"v2.0"}\n', content_type="text/plain; charset=utf-8")


class HealthView(ApiView):
    """Always 200; the names are those of Harbor's parts, which are all of this one here."""

    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Response:
        checks: dict[str, Callable[[], None]] = {
            "core": _nothing,
            "database": _check_database,
            "jobservice": _check_jobs,
            "portal": _nothing,
            "redis": _nothing,
            "registry": _check_storage,
            "registryctl": _nothing,
        }
        components = [_component(name, check) for name, check in checks.items()]
        healthy = all(component["status"] == "healthy" for component in components)
        return Response({"status": "healthy" if healthy else "unhealthy", "components": components})


class SystemInfoView(ApiView):
    actions = {"GET": ANYONE}

    def get(self, request: Request) -> Response:
        shape: dict[str, Any] = {
            "auth_mode": params.get(params.AUTH_MODE),
            "primary_auth_mode": params.get(params.PRIMARY_AUTH_MODE),
            "self_registration": params.get(params.SELF_REGISTRATION),
            "banner_message": params.get(params.BANNER_MESSAGE),
            "oidc_provider_name": params.get(params.OIDC_NAME),
        }
        return Response(shape | (self._for_insiders() if self.who.is_authenticated else {}))

    def _for_insiders(self) -> dict[str, Any]:
        boot = config.current()
        return {
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

    def get(self, request: Request) -> FileResponse:
        try:
            return FileResponse(config.current().ca_file.open("rb"), as_attachment=True, filename="ca.crt")
        except OSError:
            raise NotFound("resource not found: there is no root certificate") from None


class VolumesView(ApiView):
    actions = {"GET": "system-volumes:read"}

    def get(self, request: Request) -> Response:
        usage = shutil.disk_usage(config.current().data_volume)
        return Response({"storage": [{"total": usage.total, "free": usage.free}]})


def _component(name: str, check: Callable[[], None]) -> dict[str, str]:
    try:
        check()
    except (Error, OSError) as error:
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

    def get(self, request: Request) -> Response:
        return Response(openapi.document())


class ExplorerView(ApiView):
    """The same as a page to read, which needs nothing from other hosts."""

    actions = {"GET": ANYONE}
    content_negotiation_class = Anything

    def get(self, request: Request) -> HttpResponse:
        frame = admin.site.each_context(request._request)
        context = {**frame, "title": _("REST API"), "groups": openapi.grouped()}
        return render(request._request, "api/explorer.html", context)
