"""Quotas of projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from django.db.models import BigIntegerField, Case, F, QuerySet, Value, When
from rest_framework.request import Request

from harborsite.api import body, parameters
from harborsite.api.answers import Answer, Done, Paged, Time
from harborsite.api.listing import Listing, listed
from harborsite.api.query import Column, to_number, to_time
from harborsite.api.wire import ZERO_TIME, stamp
from harborsite.errors import BadRequest, NotFound
from projects.api.base import ApiView
from projects.models import Quota
from projects.models.quota import UNLIMITED
from projects.services import quotas

COLUMNS = {
    "creation_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
    "hard.storage": Column("hard", to_number),
    "used.storage": Column("used", to_number),
}
_UNLIMITED_LAST = Case(When(hard=UNLIMITED, then=Value(2**63 - 1)), default=F("hard"), output_field=BigIntegerField())
SORTS = {**COLUMNS, "hard.storage": Column("limit", to_number)}


@dataclass(frozen=True, slots=True)
class Limits:
    hard: dict[str, int] | None = None


class Reference(TypedDict):
    id: int
    name: str
    owner_name: str


class Storage(TypedDict):
    storage: int


class ShownQuota(TypedDict):
    id: int
    ref: Reference
    hard: Storage
    used: Storage
    creation_time: Time
    update_time: Time


def render(quota: Quota, update_time: str) -> ShownQuota:
    return {
        "id": quota.pk,
        "ref": {"id": quota.project_id, "name": quota.project.name, "owner_name": ""},
        "hard": {"storage": quota.hard},
        "used": {"storage": quota.used},
        "creation_time": stamp(quota.creation_time),
        "update_time": update_time,
    }


def _render(quotas: Sequence[Quota]) -> list[ShownQuota]:
    return [render(quota, stamp(quota.update_time)) for quota in quotas]


def _all() -> QuerySet[Quota]:
    return Quota.objects.select_related("project").annotate(limit=_UNLIMITED_LAST)


_LISTING = Listing(_all, COLUMNS, ("-creation_time",), sorts=SORTS)


class QuotasView(ApiView):
    actions = {"GET": "quota:list"}

    def get(self, request: Request) -> Paged[ShownQuota]:
        narrow: Callable[[QuerySet[Quota]], QuerySet[Quota]] | None = None
        if request.GET.get("reference", "project") != "project":
            narrow = QuerySet.none
        elif given := request.GET.get("reference_id"):
            project = parameters.integer(given, "reference_id")
            narrow = lambda rows: rows.filter(project_id=project)  # noqa: E731 - one of two narrowings
        return listed(request, _LISTING, _render, narrow=narrow)


class QuotaView(ApiView):
    actions = {"GET": "quota:read", "PUT": "quota:update"}

    def get(self, request: Request, id: int) -> Answer[ShownQuota]:
        return Answer(render(_find(id), ZERO_TIME))

    def put(self, request: Request, id: int) -> Done:
        quota, hard = _find(id), body.read(request, Limits).hard
        if hard is None:
            raise BadRequest("hard required in body")
        for resource in hard.keys() - {"storage"}:
            raise BadRequest(f"resource {resource[:100]} not support")
        if "storage" not in hard:
            raise BadRequest("resource storage is required")
        quotas.set_limit(quota=quota, hard=hard["storage"], actor=self.who)
        return Done()


def _find(quota_id: int) -> Quota:
    quota = Quota.objects.select_related("project").filter(pk=quota_id).first()
    if quota is None:
        raise NotFound(f"quota {quota_id} not found")
    return quota
