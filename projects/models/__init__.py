"""People and the projects they work in."""

from projects.models.allowlist import CVEAllowlist
from projects.models.label import Label
from projects.models.member import Member, UserGroup
from projects.models.project import Project, ProjectMetadata
from projects.models.quota import Quota
from projects.models.robot import Robot
from projects.models.second_factor import SecondFactor
from projects.models.setting import Setting
from projects.models.user import User
from projects.models.webhook import WebhookPolicy

__all__ = [
    "CVEAllowlist",
    "Label",
    "Member",
    "Project",
    "ProjectMetadata",
    "Quota",
    "Robot",
    "SecondFactor",
    "Setting",
    "User",
    "UserGroup",
    "WebhookPolicy",
]
