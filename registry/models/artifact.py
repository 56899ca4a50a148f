"""Artifacts: manifests and indexes, kept as the exact bytes received; every other column is derived from them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from registry.models.repository import Repository
from registry.oci.media_types import INDEXES

DIGEST_LENGTH = len("sha512:") + 128


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def listed(self) -> ArtifactQuerySet:
        """What a list of a repository shows: no accessories, and of the parts of an index only tagged ones."""
        from registry.models.tag import Tag

        parts = ArtifactChild.objects.filter(
            artifact__repository=models.OuterRef("repository"), digest=models.OuterRef("digest")
        )
        tags = Tag.objects.filter(artifact=models.OuterRef("pk"))
        return self.filter(models.Q(accessory_type=""), models.Exists(tags) | ~models.Exists(parts))  # most are tagged


class Artifact(models.Model):
    """One manifest in one repository."""

    repository = models.ForeignKey(
        Repository, verbose_name=_("repository"), related_name="artifacts", on_delete=models.CASCADE
    )
    digest = models.CharField(_("digest"), max_length=DIGEST_LENGTH)
    manifest = models.BinaryField(_("manifest"))
    manifest_media_type = models.CharField(_("manifest media type"), max_length=255)
    media_type = models.CharField(_("media type"), max_length=255, blank=True)
    artifact_type = models.CharField(_("artifact type"), max_length=255, blank=True)
    type = models.CharField(_("type"), max_length=255)  # IMAGE, CHART, …: see registry.oci.manifest
    size = models.BigIntegerField(_("size"), default=0)  # manifest, config and layers; of an index, its children too
    extra_attrs = models.JSONField(_("attributes"), default=dict, blank=True)
    annotations = models.JSONField(_("annotations"), default=dict, blank=True)
    subject_digest = models.CharField(_("subject"), max_length=DIGEST_LENGTH, blank=True, default="")
    accessory_type = models.CharField(_("accessory type"), max_length=64, blank=True, default="")
    push_time = models.DateTimeField(_("pushed"))
    pull_time = models.DateTimeField(_("pulled"), null=True, blank=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering = ["-push_time", "-id"]
        constraints = [models.UniqueConstraint(fields=["repository", "digest"], name="one_artifact_per_digest")]
        indexes = [
            models.Index(fields=["repository", "subject_digest"], name="artifact_by_subject"),
            models.Index(fields=["repository", "accessory_type", "-push_time", "-id"], name="artifact_as_listed"),
            models.Index(fields=["digest"], name="artifact_by_digest"),
        ]
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def is_index(self) -> bool:
        return self.manifest_media_type in INDEXES

    @property
    def is_accessory(self) -> bool:
        return bool(self.accessory_type)


class ArtifactReference(models.Model):
    """A blob that an artifact needs, by digest: a manifest may name a blob that has not arrived (sparse images)."""

    artifact = models.ForeignKey(Artifact, related_name="references", on_delete=models.CASCADE)
    digest = models.CharField(max_length=DIGEST_LENGTH)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "digest"], name="one_reference_per_blob")]
        indexes = [models.Index(fields=["digest"], name="reference_by_digest")]

    def __str__(self) -> str:
        return self.digest


class ArtifactChild(models.Model):
    """A manifest that an index lists, by digest, with its platform; it may be missing in the repository."""

    artifact = models.ForeignKey(Artifact, related_name="children", on_delete=models.CASCADE)
    position = models.PositiveIntegerField()
    digest = models.CharField(max_length=DIGEST_LENGTH)
    platform = models.JSONField(default=dict, blank=True)
    annotations = models.JSONField(default=dict, blank=True)
    urls = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["artifact", "position"], name="one_child_per_position")]
        indexes = [models.Index(fields=["digest"], name="child_by_digest")]

    def __str__(self) -> str:
        return self.digest
