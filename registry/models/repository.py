"""Repositories: named collections of artifacts in a project."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from harborsite.principal import Principal
from projects.models import Project


class RepositoryQuerySet(models.QuerySet["Repository"]):
    def visible_to(self, who: Principal) -> RepositoryQuerySet:
        """Those of the projects that `who` may see."""
        if who.is_superuser:
            return self
        return self.filter(project__in=Project.objects.visible_to(who).values("pk"))


class Repository(models.Model):
    """A repository; `name` is the full name with the project, as clients write it. Made by the first manifest."""

    project = models.ForeignKey(
        Project, verbose_name=_("project"), related_name="repositories", on_delete=models.PROTECT
    )
    name = models.CharField(_("name"), max_length=255, unique=True)
    description = models.TextField(_("description"), blank=True)
    pull_count = models.BigIntegerField(_("pulls"), default=0)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    objects = RepositoryQuerySet.as_manager()

    class Meta:
        ordering = ["-creation_time", "-id"]
        indexes = [
            models.Index(fields=["creation_time"], name="repository_by_creation_time"),
            models.Index(fields=["update_time"], name="repository_by_update_time"),
            models.Index(fields=["pull_count"], name="repository_by_pull_count"),
            models.Index(fields=["project", "-update_time"], name="repository_in_project"),
        ]
        verbose_name = _("repository")
        verbose_name_plural = _("repositories")

    def __str__(self) -> str:
        return self.name

    @property
    def short_name(self) -> str:
        """The name below the project."""
        return self.name.partition("/")[2]
