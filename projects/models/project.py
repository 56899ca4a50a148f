"""Projects: the unit of membership, visibility and quota."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from harborsite.db.prepared import prepared_models
from harborsite.principal import Principal


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, who: Principal) -> ProjectQuerySet:
        """Public projects, and those where `who` has a footing."""
        if who.is_superuser:
            return self
        mine = Project.objects.filter(who.footing()).values("pk")
        return self.filter(models.Q(public=True) | models.Q(pk__in=mine))

    def with_footing(self, who: Principal) -> ProjectQuerySet:
        """Only those where `who` has a role or a grant."""
        return self.filter(pk__in=Project.objects.filter(who.footing()).values("pk"))


class Project(models.Model):
    """A name space for repositories, with members."""

    name = models.CharField(_("name"), max_length=255, unique=True)
    owner = models.ForeignKey(
        "projects.User", verbose_name=_("owner"), related_name="owned_projects", on_delete=models.PROTECT
    )
    public = models.BooleanField(_("public"), default=False)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["public", "name"], name="project_by_public"),
            models.Index(fields=["creation_time"], name="project_by_creation_time"),
            models.Index(fields=["update_time"], name="project_by_update_time"),
        ]
        verbose_name = _("project")
        verbose_name_plural = _("projects")

    def __str__(self) -> str:
        return self.name


@prepared_models
def _by_name(name: str) -> models.QuerySet[Project]:
    return Project.objects.order_by().filter(name=name)


@prepared_models
def _by_id(pk: int) -> models.QuerySet[Project]:
    return Project.objects.order_by().filter(pk=pk)


def project_named(name: str) -> Project | None:
    """The project as it is now."""
    found = _by_name(name)
    return found[0] if found else None


def project_numbered(pk: int) -> Project | None:
    found = _by_id(pk)
    return found[0] if found else None


class ProjectMetadata(models.Model):
    """One setting of a project, as Harbor's metadata map has it; `public` is a column of Project instead."""

    project = models.ForeignKey(Project, verbose_name=_("project"), related_name="metadata", on_delete=models.CASCADE)
    name = models.CharField(_("name"), max_length=255)
    value = models.CharField(_("value"), max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_value_per_metadata_key")]
        verbose_name = _("project setting")
        verbose_name_plural = _("project settings")

    def __str__(self) -> str:
        return f"{self.name}={self.value}"
