"""What is in the registry: repositories, artifacts, tags, blobs, and uploads on their way."""

from registry.models.artifact import Artifact, ArtifactChild, ArtifactReference
from registry.models.blob import Blob, BlobLink
from registry.models.label import ArtifactLabel
from registry.models.policy import ImmutableRule, RetentionPolicy
from registry.models.repository import Repository
from registry.models.scanner import Scanner
from registry.models.tag import Tag
from registry.models.upload import BlobUpload

__all__ = [
    "Artifact",
    "ArtifactChild",
    "ArtifactLabel",
    "ArtifactReference",
    "Blob",
    "BlobLink",
    "BlobUpload",
    "ImmutableRule",
    "Repository",
    "RetentionPolicy",
    "Scanner",
    "Tag",
]
