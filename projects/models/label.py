"""Labels: marks on artifacts, of the whole system or of one project."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.project import Project


class Label(models.Model):
    """`space` is the project's id, or 0 for a label of the system: a unique constraint takes no null for a value."""

    class Scope(models.TextChoices):
        GLOBAL = "g", _("Global")
        PROJECT = "p", _("Project")

    name = models.CharField(_("name"), max_length=128)
    description = models.CharField(_("description"), max_length=1024, blank=True)
    color = models.CharField(_("color"), max_length=16, blank=True)
    scope = models.CharField(_("scope"), max_length=1, choices=Scope.choices)
    project = models.ForeignKey(
        Project, verbose_name=_("project"), null=True, blank=True, related_name="labels", on_delete=models.CASCADE
    )
    space = models.BigIntegerField(default=0, editable=False)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["space", "name"], name="one_label_per_name")]
        verbose_name = _("label")
        verbose_name_plural = _("labels")

    def __str__(self) -> str:
        return self.name
