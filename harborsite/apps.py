"""The project itself as an app: shared commands, checks and templates."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HarborsiteConfig(AppConfig):
    name = "harborsite"
    verbose_name = _("Harborsite")
