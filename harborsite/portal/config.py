"""The admin app with our site in place of the stock one (not in apps.py: two AppConfigs there would be ambiguous)."""

from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    default_site = "harborsite.portal.site.PortalSite"
