"""How much a project may store, and how much it does."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

UNLIMITED = -1


class Quota(models.Model):
    """Bytes of distinct blobs and manifests in one project."""

    project = models.OneToOneField(
        "projects.Project", verbose_name=_("project"), related_name="quota", on_delete=models.CASCADE
    )
    hard = models.BigIntegerField(_("limit in bytes"), default=UNLIMITED)
    used = models.BigIntegerField(_("used bytes"), default=0)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-creation_time"]
        indexes = [
            models.Index(fields=["hard"], name="quota_by_hard"),
            models.Index(fields=["used"], name="quota_by_used"),
            models.Index(fields=["creation_time"], name="quota_by_creation_time"),
            models.Index(fields=["update_time"], name="quota_by_update_time"),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(used__gte=0), name="quota_used_not_negative")]
        verbose_name = _("project quota")
        verbose_name_plural = _("project quotas")

    def __str__(self) -> str:
        return f"{self.used}/{self.hard}"
