"""Django's entry to the replication app."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

CHECK_MINUTES = 5


class ReplicationConfig(AppConfig):
    name = "replication"
    verbose_name = _("Replication")

    def ready(self) -> None:
        import_module("replication.receivers").connect()
        post_migrate.connect(_ensure_schedule, sender=self)


def _ensure_schedule(**kwargs: Any) -> None:
    """Which remote registries answer is looked at by django-q2 itself: it is no job that anybody waits for."""
    from django_q.models import Schedule

    Schedule.objects.update_or_create(
        name="harborsite registries",
        defaults={
            "func": "replication.jobs.check_registries",
            "schedule_type": Schedule.MINUTES,
            "minutes": CHECK_MINUTES,
            "repeats": -1,
        },
    )
