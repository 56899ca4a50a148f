"""Django's entry to the job engine."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "harborsite.jobs"
    label = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from harborsite.jobs import schedules

        post_migrate.connect(schedules.ensure_system_schedules, sender=self)
