"""The pages of repositories, of the artifacts in them, of what is kept, and of what nothing needs any more."""

from registry.admin.artifacts import ArtifactAdmin
from registry.admin.garbage import BlobAdmin
from registry.admin.policies import ImmutableRuleAdmin, RetentionAdmin
from registry.admin.repositories import RepositoryAdmin

__all__ = ["ArtifactAdmin", "BlobAdmin", "ImmutableRuleAdmin", "RepositoryAdmin", "RetentionAdmin"]
