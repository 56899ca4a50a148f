"""The pages of the job engine: what ran, and what waits."""

from harborsite.portal.admin.events import ExecutionAdmin
from harborsite.portal.admin.jobservice import ScheduleAdmin

__all__ = ["ExecutionAdmin", "ScheduleAdmin"]
