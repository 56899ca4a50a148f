"""Rules of a project about its tags: which may not change, and which are kept."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models import Project


class ImmutableRule(models.Model):
    """Tags that match may be neither moved nor deleted.

    `tag_selectors` is a list and `scope_selectors` a map of lists of `{"kind", "decoration", "pattern"}`; the first
    of each counts. `fingerprint` is a digest of both, so that the database refuses the same rule twice.
    """

    project = models.ForeignKey(
        Project, verbose_name=_("project"), related_name="immutable_rules", on_delete=models.CASCADE
    )
    disabled = models.BooleanField(_("disabled"), default=False)
    tag_selectors = models.JSONField(_("tags"), default=list)
    scope_selectors = models.JSONField(_("repositories"), default=dict)
    fingerprint = models.CharField(max_length=64, editable=False)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["project", "fingerprint"], name="one_immutable_rule_once")]
        verbose_name = _("tag immutability rule")
        verbose_name_plural = _("tag immutability rules")

    def __str__(self) -> str:
        repositories, tags = self.scope_selectors["repository"][0], self.tag_selectors[0]
        return f"{repositories['decoration']} {repositories['pattern']} · {tags['decoration']} {tags['pattern']}"


class RetentionPolicy(models.Model):
    """What a project keeps: one policy each. `rules` are Harbor's rule objects, as they came and were checked."""

    project = models.OneToOneField(
        Project, verbose_name=_("project"), related_name="retention_policy", on_delete=models.CASCADE
    )
    rules = models.JSONField(_("rules"), default=list)
    cron = models.CharField(_("schedule"), max_length=64, blank=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("tag retention policy")
        verbose_name_plural = _("tag retention policies")

    def __str__(self) -> str:
        return self.project.name
