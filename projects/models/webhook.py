"""Whom to tell what happens in a project."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from projects.models.project import Project


class WebhookPolicy(models.Model):
    """Events of one project, and the addresses that are told of them.

    `targets` is a list of `{"type", "address", "auth_header", "skip_cert_verify", "payload_format"}`.
    """

    project = models.ForeignKey(
        Project, verbose_name=_("project"), related_name="webhook_policies", on_delete=models.CASCADE
    )
    name = models.CharField(_("name"), max_length=128)
    description = models.CharField(_("description"), max_length=1024, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    event_types = models.JSONField(_("events"), default=list)
    targets = models.JSONField(_("targets"), default=list)
    creator = models.CharField(_("creator"), max_length=255, blank=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-creation_time", "-id"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_webhook_per_name")]
        verbose_name = _("webhook policy")
        verbose_name_plural = _("webhook policies")

    def __str__(self) -> str:
        return self.name
