"""Uploads that are under way."""

from __future__ import annotations

import uuid

from django.db import models

from projects.models import Project


class BlobUpload(models.Model):
    """One upload session: of one repository and one person; the bytes are in the store under its id.

    `sha256` is the hex digest of everything received, or empty where the bytes have to be read again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, related_name="uploads", on_delete=models.CASCADE)
    repository_name = models.CharField(max_length=255)
    username = models.CharField(max_length=255)
    offset = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="")
    creation_time = models.DateTimeField(auto_now_add=True)
    update_time = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["update_time"], name="upload_by_time")]

    def __str__(self) -> str:
        return str(self.id)
