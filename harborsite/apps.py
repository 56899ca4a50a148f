"""The project itself as an app: shared commands, checks and templates."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _


class HarborsiteConfig(AppConfig):
    name = "harborsite"
    verbose_name = _("Harborsite")

    def ready(self) -> None:
        from harborsite import checks

        register(checks.check_jobs)
