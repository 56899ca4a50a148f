"""The pages of the audit log, and of its rotation."""

from audit.admin.logs import AuditLogAdmin

__all__ = ["AuditLogAdmin"]
