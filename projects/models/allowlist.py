"""Vulnerabilities that do not count, for one project or for the system."""

from __future__ import annotations

import time

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.project import Project


class CVEAllowlist(models.Model):
    """One list of a project; the system's has no project. After `expires_at` (Unix seconds) it allows nothing."""

    project = models.OneToOneField(
        Project,
        verbose_name=_("project"),
        null=True,
        blank=True,
        related_name="cve_allowlist",
        on_delete=models.CASCADE,
    )
    items = models.JSONField(_("vulnerabilities"), default=list, blank=True)  # identifiers
    expires_at = models.BigIntegerField(_("expires at"), null=True, blank=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("CVE allowlist")
        verbose_name_plural = _("CVE allowlists")

    def __str__(self) -> str:
        return ", ".join(self.items)

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at
