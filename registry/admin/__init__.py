"""The pages of repositories and of the artifacts in them."""

from registry.admin.artifacts import ArtifactAdmin
from registry.admin.repositories import RepositoryAdmin

__all__ = ["ArtifactAdmin", "RepositoryAdmin"]
