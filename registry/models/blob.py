"""Blobs: content that is kept once, however many repositories hold it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from projects.models import Project
from registry.models.artifact import DIGEST_LENGTH


class Blob(models.Model):
    """Bytes in the store, by digest. Garbage collection walks `status` through Harbor's states.

    A damaged blob is one whose bytes are missing or wrong, as a check of the storage has found: it is not served and
    not mounted, so that clients push it again, which heals it.
    """

    class Status(models.TextChoices):
        NONE = "none", _("In use")
        DELETE = "delete", _("Marked for deletion")
        DELETING = "deleting", _("Being deleted")
        DELETE_FAILED = "deletefailed", _("Deletion failed")
        DAMAGED = "damaged", _("Damaged")

    DOOMED = (Status.DELETE, Status.DELETING, Status.DELETE_FAILED)

    digest = models.CharField(_("digest"), max_length=DIGEST_LENGTH, unique=True)
    size = models.BigIntegerField(_("size"))
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.NONE)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)  # pushed or mounted last; the grace counts from it

    class Meta:
        verbose_name = _("blob")
        verbose_name_plural = _("blobs")
        indexes = [models.Index(fields=["status", "update_time"], name="blob_by_status")]

    def __str__(self) -> str:
        return self.digest


class BlobLink(models.Model):
    """A repository holds a blob: the right to pull through that repository, and the project's share of the quota.

    By repository name, because blobs arrive before the first manifest makes the repository. When the last artifact
    that needs the blob is deleted, the quota stops counting it, but the link stays for the grace of garbage
    collection: a client that was told "it is here" may be about to push a manifest with it.
    """

    project = models.ForeignKey(Project, related_name="blob_links", on_delete=models.CASCADE)
    repository_name = models.CharField(max_length=255)
    blob = models.ForeignKey(Blob, related_name="links", on_delete=models.CASCADE)
    counted = models.BooleanField(default=True)
    creation_time = models.DateTimeField(auto_now_add=True)
    update_time = models.DateTimeField(default=timezone.now)  # pushed, mounted, asked for or let go last

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository_name", "blob"], name="one_link_per_repository")]
        indexes = [models.Index(fields=["project", "blob"], name="link_by_project")]

    def __str__(self) -> str:
        return f"{self.repository_name}@{self.blob_id}"
