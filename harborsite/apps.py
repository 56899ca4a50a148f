"""The project itself as an app: shared commands, checks and templates."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class HarborsiteConfig(AppConfig):
    name = "harborsite"
    verbose_name = _("Harborsite")

    def ready(self) -> None:
        from harborsite import checks
        from harborsite.jobs.signals import task_changed
        from harborsite.observability import tasks

        register(checks.check_jobs)
        task_changed.connect(tasks.count, dispatch_uid="harborsite.observability")
