"""Settings that an administrator changed at run time; what they mean and default to is in `projects.params`."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Setting(models.Model):
    """One changed setting; a setting that is not here has its default."""

    key = models.CharField(_("key"), max_length=64, unique=True)
    value = models.JSONField(_("value"))

    class Meta:
        ordering = ["key"]
        verbose_name = _("setting")
        verbose_name_plural = _("settings")

    def __str__(self) -> str:
        return self.key
