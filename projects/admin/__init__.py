"""The pages of projects and of what is in them, of people's accounts, and of the system's settings."""

from projects.admin.groups import UserGroupAdmin
from projects.admin.labels import LabelAdmin
from projects.admin.members import MemberAdmin
from projects.admin.projects import ProjectAdmin
from projects.admin.quotas import QuotaAdmin
from projects.admin.robots import RobotAdmin
from projects.admin.settings import SettingAdmin
from projects.admin.users import UserAdmin
from projects.admin.webhooks import WebhookPolicyAdmin

__all__ = [
    "LabelAdmin",
    "MemberAdmin",
    "ProjectAdmin",
    "QuotaAdmin",
    "RobotAdmin",
    "SettingAdmin",
    "UserAdmin",
    "UserGroupAdmin",
    "WebhookPolicyAdmin",
]
