"""The pages of registries elsewhere, of replication rules and of what they did."""

from replication.admin.policies import ReplicationPolicyAdmin
from replication.admin.registries import RegistryAdmin

__all__ = ["RegistryAdmin", "ReplicationPolicyAdmin"]
