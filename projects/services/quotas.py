"""Counting what a project stores, and refusing what is too much.

What counts: the sizes of the distinct blobs that the project's repositories hold, and of its distinct manifests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Greatest, Length
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.prepared import Change, Row, columns, instance, prepared, prepared_change
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from projects import params
from projects.errors import QuotaExceeded
from projects.models import Project, Quota
from projects.models.quota import UNLIMITED

WARNING_PERCENT, _ALL = 85, 100
MAX_LIMIT = 1024**5  # 1024 TiB
_UNITS = ("KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project stores, of what it may."""

    used: int
    hard: int

    @property
    def limited(self) -> bool:
        return self.hard != UNLIMITED

    @property
    def percent(self) -> int:
        """Whole percents of the limit, 100 at most; 0 without one."""
        return min(_ALL, round(_ALL * self.used / self.hard)) if self.limited and self.hard else 0

    @property
    def nearly_full(self) -> bool:
        return self.percent >= WARNING_PERCENT


def usage(*, project: Project) -> Usage | None:
    found = Quota.objects.filter(project=project).values_list("used", "hard").first()
    return Usage(*found) if found else None


def hold(*, project_id: int) -> None:
    """Let nobody else change what the project stores until the end of the transaction; call it first in one.

    What is charged or given back follows from rows that are read before: two transactions that read them at the same
    time would both count, or both not. Where there is one writer at a time (SQLite) there is nothing to do.
    """
    if connection.features.has_select_for_update:
        _locked(project_id)


@prepared
def _locked(project: int) -> QuerySet[Quota, Row]:
    return Quota.objects.order_by().select_for_update().filter(project=project).values_list("pk")


def charge(*, project: Project, size: int) -> None:
    """Add `size` bytes in one statement, or raise QuotaExceeded and add nothing."""
    add = _add_within_limit if params.get(params.QUOTA_PER_PROJECT_ENABLE) else _add
    if add(project.pk, size, timezone.now()):
        return
    quota = Quota.objects.get(project=project)
    raise _exceeded(quota, size)


@prepared_change
def _add(project: int, size: int, now: datetime) -> Change:
    return Change(Quota.objects.filter(project=project), {"used": F("used") + size, "update_time": now})


@prepared_change
def _add_within_limit(project: int, size: int, now: datetime) -> Change:
    within = Q(hard=UNLIMITED) | Q(hard__gte=F("used") + size)
    return Change(Quota.objects.filter(within, project=project), {"used": F("used") + size, "update_time": now})


def check(*, project: Project, size: int) -> None:
    """Raise QuotaExceeded where `size` more bytes would be too much; adds nothing."""
    quota = instance(Quota, _of_project(project.pk)[0])
    enforced = params.get(params.QUOTA_PER_PROJECT_ENABLE) and quota.hard != UNLIMITED
    if enforced and quota.used + size > quota.hard:
        raise _exceeded(quota, size)


@prepared
def _of_project(project: int) -> QuerySet[Quota, Row]:
    return Quota.objects.order_by().filter(project=project).values_list(*columns(Quota))


def warning(*, project_id: int) -> str:
    """What to say of a quota that is nearly used up, in Harbor's words; empty where there is room."""
    quota = instance(Quota, _of_project(project_id)[0])
    if quota.hard == UNLIMITED or quota.used * 100 < quota.hard * WARNING_PERCENT:
        return ""
    used, hard = human_size(quota.used), human_size(quota.hard)
    return f"quota usage reach {WARNING_PERCENT}%: resource storage used {used} of {hard}"


def release(*, project: Project, size: int) -> None:
    """Give `size` bytes back; never refused."""
    Quota.objects.filter(project=project).update(used=Greatest(F("used") - size, 0), update_time=timezone.now())


def recount(project: Project) -> Quota:
    """Set the usage to what the rows say; for after garbage collection and for repairs."""
    with transaction.atomic():
        quota = Quota.objects.select_for_update().get(project=project)
        blobs = (
            project.blob_links.filter(counted=True)
            .values("blob_id", "blob__size")
            .distinct()
            .aggregate(total=Sum("blob__size"))
        )
        manifests = (
            project.repositories.filter(artifacts__isnull=False)
            .values("artifacts__digest", size=Length("artifacts__manifest"))
            .distinct()
            .aggregate(total=Sum("size"))
        )
        quota.used = (blobs["total"] or 0) + (manifests["total"] or 0)
        quota.save(update_fields=["used", "update_time"])
    return quota


def set_limit(*, quota: Quota, hard: int, actor: Principal | str) -> Quota:
    """Change the limit; it may be lower than what is used already."""
    check_limit(hard)
    with transaction.atomic():
        audit.record(
            actor=actor,
            operation=Operation.UPDATE,
            resource_type=ResourceType.QUOTA,
            resource=quota.project.name,
            project_id=quota.project_id,
            data={"from": quota.hard, "to": hard},
        )
        quota.hard = hard
        quota.save(update_fields=["hard", "update_time"])
    return quota


def check_limit(hard: int) -> None:
    """Raise BadRequest unless `hard` is -1 (unlimited) or a possible number of bytes."""
    if hard > MAX_LIMIT:
        raise BadRequest(
            _("the quota limit exceeded 1024TB, which is {max} Bytes, value={value}").format(max=MAX_LIMIT, value=hard)
        )
    if hard == 0 or hard < UNLIMITED:
        raise BadRequest(_("invalid non-positive value for quota limit, value={value}").format(value=hard))


def _exceeded(quota: Quota, size: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"adding {human_size(size)} of storage resource, which when updated to current usage of "
        f"{human_size(quota.used)} will exceed the configured upper limit of {human_size(quota.hard)}."
    )


def human_size(size: int) -> str:
    """`1.5 MiB`, as Harbor writes sizes in its messages."""
    if size < 1024:
        return f"{size} B"
    power = min(int(math.log(size, 1024)), len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"
