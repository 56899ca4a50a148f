"""Django's entry to the projects app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = _("Projects")

    def ready(self) -> None:
        from audit import switches
        from projects.identity import log
        from projects.services import settings

        log.connect()
        switches.follow(settings.audit_switches)
