"""Robot accounts: credentials for machines, with rights of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from projects.models.project import Project

NEVER = -1


class Robot(models.Model):
    """A machine's account; of one project, or of the system with grants in several.

    `permissions` is a list of `{"kind": "system"|"project", "namespace": "/"|name|"*", "access": [{"resource",
    "action"}]}`. The secret is kept as a hash and shown once.
    """

    class Level(models.TextChoices):
        SYSTEM = "system", _("System")
        PROJECT = "project", _("Project")

    name = models.CharField(_("name"), max_length=255)  # without the prefix: "ci", or "library+ci"
    description = models.CharField(_("description"), max_length=1024, blank=True)
    level = models.CharField(_("level"), max_length=16, choices=Level.choices)
    project = models.ForeignKey(
        "projects.Project",
        verbose_name=_("project"),
        null=True,
        blank=True,
        related_name="robots",
        on_delete=models.CASCADE,
    )
    secret = models.CharField(_("secret"), max_length=255)
    permissions = models.JSONField(_("permissions"), default=list)
    duration = models.IntegerField(_("days until it expires"), default=NEVER)
    expires_at = models.BigIntegerField(_("expires at"), default=NEVER)  # Unix seconds
    disable = models.BooleanField(_("disabled"), default=False)
    visible = models.BooleanField(_("visible"), default=True)
    creator_type = models.CharField(_("creator type"), max_length=16, default="local")
    creator_ref = models.BigIntegerField(_("creator"), default=0)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    is_superuser = False

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="one_robot_per_name")]
        indexes = [models.Index(fields=["level", "name"], name="robot_by_level")]
        verbose_name = _("robot account")
        verbose_name_plural = _("robot accounts")

    def __str__(self) -> str:
        return self.username

    @property
    def username(self) -> str:
        from projects import params

        return f"{params.get(params.ROBOT_NAME_PREFIX)}{self.name}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at != NEVER and timezone.now().timestamp() >= self.expires_at

    @property
    def is_active(self) -> bool:
        return not (self.disable or self.is_expired)

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def is_anonymous(self) -> bool:
        return False

    def footing(self) -> Q:
        spaces = [grant["namespace"] for grant in self.permissions if grant["kind"] == "project"]
        return Q() if "*" in spaces else Q(name__in=spaces)

    def granted_in(self, project: Project) -> frozenset[str]:
        granted = {
            f"{access['resource']}:{access['action']}"
            for grant in self.permissions
            if grant["kind"] == "project" and grant["namespace"] in {"*", project.name}
            for access in grant["access"]
            if access.get("effect", "") in {"", "allow"}
        }
        if self.level == self.Level.PROJECT and "repository:push" in granted:
            granted.add("repository:pull")  # as Harbor: pushing implies pulling, at project level only
        return frozenset(granted)

    def granted_system(self) -> frozenset[str]:
        return frozenset(
            f"{access['resource']}:{access['action']}"
            for grant in self.permissions
            if grant["kind"] == "system"
            for access in grant["access"]
            if access.get("effect", "") in {"", "allow"}
        )
