"""The pages of registries elsewhere, of replication rules and of what they did, and of preheat instances."""

from replication.admin.policies import ReplicationPolicyAdmin
from replication.admin.registries import RegistryAdmin
from replication.preheat.admin import PreheatInstanceAdmin

__all__ = ["PreheatInstanceAdmin", "RegistryAdmin", "ReplicationPolicyAdmin"]
