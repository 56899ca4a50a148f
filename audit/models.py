"""What happened, as plain values: rows outlive what they describe, so they hold no foreign keys."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

MAX_RESOURCE = 700  # a repository with a tag or digest has 391; MySQL's indexes take 3,072 bytes


class AuditLog(models.Model):
    """One event. `operation` is an `audit.events.Operation`; the sentence for people is made when it is shown."""

    username = models.CharField(_("user name"), max_length=255)
    operation = models.CharField(_("operation"), max_length=64)
    resource_type = models.CharField(_("resource type"), max_length=64)
    resource = models.CharField(_("resource"), max_length=MAX_RESOURCE)
    project_id = models.BigIntegerField(_("project"), null=True, blank=True)
    successful = models.BooleanField(_("successful"), default=True)
    data = models.JSONField(_("details"), default=dict, blank=True)
    op_time = models.DateTimeField(_("time"))

    class Meta:
        ordering = ["-op_time", "-id"]
        indexes = [
            models.Index(fields=["-op_time", "-id"], name="audit_by_time"),
            models.Index(fields=["project_id", "-op_time"], name="audit_by_project"),
            models.Index(fields=["username", "-op_time"], name="audit_by_user"),
            models.Index(fields=["operation", "-op_time"], name="audit_by_operation"),
            models.Index(fields=["resource_type", "-op_time"], name="audit_by_resource_type"),
            models.Index(fields=["successful", "-op_time"], name="audit_by_result"),
            models.Index(fields=["resource"], name="audit_by_resource"),
        ]
        verbose_name = _("audit log")
        verbose_name_plural = _("audit logs")

    def __str__(self) -> str:
        return f"{self.operation} {self.resource_type} {self.resource}"


class Outgoing(models.Model):
    """A record on its way to the collector, as the finished message; the row goes when that has been sent.

    It is written in the transaction of what it records, so that no crash loses it.
    """

    message = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.message[:80]


class Forwarding(models.Model):
    """How it goes with the collector; one row. `leader` is the process that sends, while its lease lasts."""

    leader = models.CharField(max_length=128, blank=True)
    lease_until = models.DateTimeField()
    destination = models.CharField(max_length=300, blank=True)
    error = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()  # when it was reached again, or for the last time not reached any more

    def __str__(self) -> str:
        return self.destination
