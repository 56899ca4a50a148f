"""Who works in a project, and groups of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from projects.permissions import Role

if TYPE_CHECKING:
    from projects.models.user import User


class UserGroup(models.Model):
    """A group known to a sign-in source; who belongs to it is learnt at sign-in."""

    class Type(models.IntegerChoices):
        LDAP = 1, _("LDAP")
        HTTP = 2, _("HTTP")
        OIDC = 3, _("OIDC")

    group_name = models.CharField(_("name"), max_length=255)
    group_type = models.SmallIntegerField(_("type"), choices=Type.choices)
    ldap_group_dn = models.CharField(_("LDAP group DN"), max_length=512, blank=True)
    source = models.CharField(_("source"), max_length=16, blank=True)  # the directory that knows the DN
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["group_name"]
        constraints = [models.UniqueConstraint(fields=["group_type", "group_name"], name="one_group_per_type_and_name")]
        verbose_name = _("user group")
        verbose_name_plural = _("user groups")

    def __str__(self) -> str:
        return self.group_name


class MemberQuerySet(models.QuerySet["Member"]):
    def held_by(self, user: User | int) -> MemberQuerySet:
        """Memberships of `user` (or of that id), direct and through groups."""
        return self.filter(Q(user=user) | Q(group__users=user))


class Member(models.Model):
    """A user or a group with one role in one project."""

    project = models.ForeignKey(
        "projects.Project", verbose_name=_("project"), related_name="members", on_delete=models.CASCADE
    )
    user = models.ForeignKey(
        "projects.User",
        verbose_name=_("user"),
        null=True,
        blank=True,
        related_name="+",
        on_delete=models.CASCADE,
    )
    group = models.ForeignKey(
        UserGroup, verbose_name=_("group"), null=True, blank=True, related_name="+", on_delete=models.CASCADE
    )
    role = models.SmallIntegerField(_("role"), choices=Role.choices)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    objects = MemberQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_user_and_project"),
            models.UniqueConstraint(fields=["project", "group"], name="one_role_per_group_and_project"),
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                name="member_is_a_user_or_a_group",
            ),
        ]
        verbose_name = _("member")
        verbose_name_plural = _("members")

    def __str__(self) -> str:
        return self.entity_name

    @property
    def entity_type(self) -> str:
        return "u" if self.user_id else "g"

    @property
    def entity_id(self) -> int:
        return self.user_id or self.group_id or 0

    @property
    def entity_name(self) -> str:
        return self.user.username if self.user else self.group.group_name if self.group else ""
