"""People who sign in."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from harborsite.configvalues import DATABASE
from harborsite.db.prepared import prepared
from projects import permissions

if TYPE_CHECKING:
    from projects.models.member import Member
    from projects.models.project import Project


class Theme(models.TextChoices):
    """Which colours a person wants the portal in."""

    SYSTEM = "", _("As the system has it")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class TimeFormat(models.TextChoices):
    """How times are written for a person."""

    LOCAL = "", _("As usual in the language")
    ISO = "iso", _("ISO 8601, as in 2026-11-24 09:30:00")


class PullClient(models.TextChoices):
    """The client whose line comes first where an image can be pulled."""

    DOCKER = "docker", "docker"
    PODMAN = "podman", "podman"
    NERDCTL = "nerdctl", "nerdctl"
    CTR = "ctr", "ctr"
    CRICTL = "crictl", "crictl"


ADMIN_ID = 1  # the built-in administrator: always in the database, whatever the sign-in source


class UserManager(BaseUserManager["User"]):
    def living(self) -> models.QuerySet[User]:
        """Accounts that have not been deleted."""
        return self.filter(deleted=False)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username=username, deleted=False)


class User(AbstractBaseUser):
    """A person. Deleting keeps the row, renamed, because projects and logs refer to it."""

    username = models.CharField(_("user name"), max_length=255, unique=True)
    email = models.CharField(_("e-mail"), max_length=255, unique=True, null=True, blank=True)
    realname = models.CharField(_("full name"), max_length=255, blank=True)
    comment = models.CharField(_("comment"), max_length=255, blank=True)
    source = models.CharField(_("source"), max_length=16, default=DATABASE)
    directory_dn = models.CharField(_("entry in the directory"), max_length=1024, blank=True)
    synced_at = models.DateTimeField(_("looked up in the directory"), null=True, blank=True)
    sysadmin_flag = models.BooleanField(_("administrator"), default=False)
    admin_role_in_auth = models.BooleanField(_("administrator by the directory"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    deleted = models.BooleanField(_("deleted"), default=False)
    language = models.CharField(_("language"), max_length=16, blank=True)
    theme = models.CharField(_("colours"), max_length=8, choices=Theme.choices, blank=True)
    time_format = models.CharField(_("times"), max_length=8, choices=TimeFormat.choices, blank=True)
    pull_client = models.CharField(_("pull command"), max_length=32, default=PullClient.DOCKER)  # or another client
    lists = models.JSONField(_("looks of lists"), default=dict, blank=True)  # list → what preferences.OF_A_LIST names
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)
    groups: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "projects.UserGroup", verbose_name=_("groups"), related_name="users", blank=True
    )

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["username"]
        indexes = [
            models.Index(fields=["realname"], name="user_by_realname"),
            models.Index(fields=["comment"], name="user_by_comment"),
            models.Index(fields=["sysadmin_flag", "username"], name="user_by_sysadmin_flag"),
            models.Index(fields=["creation_time"], name="user_by_creation_time"),
            models.Index(fields=["update_time"], name="user_by_update_time"),
        ]
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.username

    @property
    def is_superuser(self) -> bool:
        return (self.sysadmin_flag or self.admin_role_in_auth) and self.is_active

    @property
    def is_of_directory(self) -> bool:
        """Whether a directory has the password and the profile, not the database."""
        return self.source != DATABASE

    @property
    def is_staff(self) -> bool:
        """Django asks this before it shows the admin; entry is decided by PortalSite instead."""
        return self.is_active

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_superuser

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_superuser

    @cached_property
    def memberships(self) -> dict[int, frozenset[int]]:
        """Project id to the roles held there, directly and through groups; read once per object (one query)."""
        found: dict[int, set[int]] = {}
        for project, role in _memberships(self.pk):
            found.setdefault(project, set()).add(role)
        return {project: frozenset(roles) for project, roles in found.items()}

    def refresh_rights(self) -> Self:
        """Forget what was read of the memberships."""
        self.__dict__.pop("memberships", None)
        return self

    def roles_in(self, project: Project) -> frozenset[int]:
        return self.memberships.get(project.pk, frozenset())

    def footing(self) -> Q:
        return Q(members__user=self) | Q(members__group__users=self)

    def granted_in(self, project: Project) -> frozenset[str]:
        return permissions.role_actions(self.roles_in(project))

    def granted_system(self) -> frozenset[str]:
        return frozenset()


@prepared
def _memberships(user: int) -> models.QuerySet[Member, tuple[int, int]]:
    from projects.models.member import Member

    return Member.objects.held_by(user).values_list("project_id", "role")
