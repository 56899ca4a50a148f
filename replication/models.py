"""Remote registries, and the policies by which repositories are copied to or from them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from harborsite.jobs.kinds import REPLICATION

VENDOR_TYPE = REPLICATION  # of executions; their vendor id is the policy's


class Registry(models.Model):
    """A registry elsewhere. `access_secret` is sealed, see `harborsite.sealing`; no answer ever holds it."""

    class Status(models.TextChoices):
        HEALTHY = "healthy", _("Healthy")
        UNHEALTHY = "unhealthy", _("Unhealthy")

    name = models.CharField(_("name"), max_length=64, unique=True)
    type = models.CharField(_("provider"), max_length=64)
    url = models.CharField(_("endpoint"), max_length=512)
    credential_type = models.CharField(_("credential type"), max_length=16, blank=True)
    access_key = models.CharField(_("access ID"), max_length=255, blank=True)
    access_secret = models.TextField(_("access secret"), blank=True)
    insecure = models.BooleanField(_("do not verify the certificate"), default=False)
    ca_certificate = models.TextField(_("CA certificate"), blank=True)
    description = models.TextField(_("description"), blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, blank=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-creation_time", "-id"]
        verbose_name = _("registry")
        verbose_name_plural = _("registries")

    def __str__(self) -> str:
        return self.name


class ReplicationPolicy(models.Model):
    """What is copied where, and when. One side is a registry elsewhere, the other is this one: null."""

    class Trigger(models.TextChoices):
        MANUAL = "manual", _("Manual")
        SCHEDULED = "scheduled", _("Scheduled")
        EVENT_BASED = "event_based", _("Event based")

    name = models.CharField(_("name"), max_length=255, unique=True)
    description = models.TextField(_("description"), blank=True)
    creator = models.CharField(_("creator"), max_length=255, blank=True)
    src_registry = models.ForeignKey(
        Registry,
        verbose_name=_("source registry"),
        related_name="policies_from",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
    )
    dest_registry = models.ForeignKey(
        Registry,
        verbose_name=_("destination registry"),
        related_name="policies_to",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
    )
    dest_namespace = models.CharField(_("destination namespace"), max_length=255, blank=True)
    dest_namespace_replace_count = models.SmallIntegerField(_("flattening"), default=-1)
    filters = models.JSONField(_("filters"), default=list, blank=True)  # as `replication.filters` reads them
    trigger = models.CharField(_("trigger"), max_length=16, choices=Trigger.choices, default=Trigger.MANUAL)
    cron = models.CharField(_("cron"), max_length=64, blank=True)
    replicate_deletion = models.BooleanField(_("replicate deletions"), default=False)
    override = models.BooleanField(_("override"), default=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    speed = models.IntegerField(_("bandwidth"), default=0)  # KB/s of one task, 0 for no limit
    copy_by_chunk = models.BooleanField(_("copy by chunk"), default=False)
    single_active_replication = models.BooleanField(_("single active replication"), default=False)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-creation_time", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(src_registry__isnull=True, dest_registry__isnull=False)
                | Q(src_registry__isnull=False, dest_registry__isnull=True),
                name="one_side_of_a_policy_is_local",
            )
        ]
        indexes = [models.Index(fields=["trigger", "enabled"], name="policy_by_trigger")]
        verbose_name = _("replication policy")
        verbose_name_plural = _("replication policies")

    def __str__(self) -> str:
        return self.name

    @property
    def is_push(self) -> bool:
        """Whether this registry is the source."""
        return self.dest_registry_id is not None

    @property
    def remote(self) -> Registry:
        """The registry on the other side."""
        found = self.dest_registry or self.src_registry
        if found is None:  # the database does not let it be
            raise ValueError("a policy without a registry")
        return found


class PreheatInstance(models.Model):
    """A peer-to-peer distributor that could be told of new images. `auth_info` is sealed JSON; no answer holds it."""

    name = models.CharField(max_length=63, unique=True)
    description = models.CharField(max_length=1024, blank=True)
    vendor = models.CharField(max_length=64)
    endpoint = models.CharField(max_length=255, unique=True)
    auth_mode = models.CharField(max_length=16, default="NONE")
    auth_info = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    is_default = models.BooleanField(default=False)
    insecure = models.BooleanField(default=False)
    setup_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-setup_time", "-id"]

    def __str__(self) -> str:
        return self.name
