"""The portal's Django apps (not in apps.py: two AppConfigs there would be ambiguous)."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    """Brings the portal's templates, static files and template tags."""

    name = "harborsite.portal"
    label = "portal"


class PortalAdminConfig(AdminConfig):
    """The admin app with our site in place of the stock one."""

    default_site = "harborsite.portal.site.PortalSite"
