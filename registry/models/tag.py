"""Tags: names that point at artifacts and may be moved."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from registry.models.artifact import Artifact
from registry.models.repository import Repository


class Tag(models.Model):
    """One name in one repository."""

    repository = models.ForeignKey(
        Repository, verbose_name=_("repository"), related_name="tags", on_delete=models.CASCADE
    )
    artifact = models.ForeignKey(Artifact, verbose_name=_("artifact"), related_name="tags", on_delete=models.CASCADE)
    name = models.CharField(_("name"), max_length=128)
    push_time = models.DateTimeField(_("pushed"))
    pull_time = models.DateTimeField(_("pulled"), null=True, blank=True)

    class Meta:
        ordering = ["-push_time", "-id"]
        constraints = [models.UniqueConstraint(fields=["repository", "name"], name="one_tag_per_name")]
        indexes = [models.Index(fields=["name", "-push_time", "-id"], name="tag_by_name")]
        verbose_name = _("tag")
        verbose_name_plural = _("tags")

    def __str__(self) -> str:
        return self.name
