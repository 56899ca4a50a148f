"""The pages of repositories, of the artifacts in them, of what is kept, of what nothing needs, and of scanners."""

from registry.admin.artifacts import ArtifactAdmin
from registry.admin.garbage import BlobAdmin
from registry.admin.policies import ImmutableRuleAdmin, RetentionAdmin
from registry.admin.repositories import RepositoryAdmin
from registry.admin.scanners import ScannerAdmin

__all__ = ["ArtifactAdmin", "BlobAdmin", "ImmutableRuleAdmin", "RepositoryAdmin", "RetentionAdmin", "ScannerAdmin"]
