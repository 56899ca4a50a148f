"""Labels that artifacts carry."""

from __future__ import annotations

from django.db import models

from projects.models import Label
from registry.models.artifact import Artifact


class ArtifactLabel(models.Model):
    """One label on one artifact; gone with either of them."""

    artifact = models.ForeignKey(Artifact, related_name="labelled", on_delete=models.CASCADE)
    label = models.ForeignKey(Label, related_name="+", on_delete=models.CASCADE)
    creation_time = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "label"], name="one_label_once_per_artifact")]

    def __str__(self) -> str:
        return f"{self.artifact_id}: {self.label_id}"
