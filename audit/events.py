"""The vocabulary of the audit log."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Operation(models.TextChoices):
    CREATE = "create", _("Create")
    UPDATE = "update", _("Update")
    DELETE = "delete", _("Delete")
    PULL = "pull", _("Pull")
    LOGIN = "login", _("Sign in")
    LOGOUT = "logout", _("Sign out")
    START = "start", _("Start")
    STOP = "stop", _("Stop")
    RETRY = "retry", _("Retry")
    PAUSE = "pause", _("Pause")
    RESUME = "resume", _("Resume")
    TEST = "test", _("Test")


class ResourceType(models.TextChoices):
    ARTIFACT = "artifact", _("Artifact")
    TAG = "tag", _("Tag")
    REPOSITORY = "repository", _("Repository")
    PROJECT = "project", _("Project")
    MEMBER = "member", _("Member")
    USER = "user", _("User")
    USER_GROUP = "usergroup", _("User group")
    ROBOT = "robot", _("Robot account")
    LABEL = "label", _("Label")
    QUOTA = "quota", _("Project quota")
    CONFIGURATION = "configuration", _("Configuration")
    IMMUTABLE_RULE = "immutable", _("Immutability rule")
    RETENTION = "retention", _("Retention policy")
    WEBHOOK = "webhook", _("Webhook")
    REGISTRY = "registry", _("Registry")
    REPLICATION_POLICY = "replicationpolicy", _("Replication policy")
    GARBAGE_COLLECTION = "gc", _("Garbage collection")
    STORAGE_CHECK = "storagecheck", _("Storage check")
    PURGE = "purgeaudit", _("Log rotation")
    REPLICATION = "replication", _("Replication")
    JOB = "job", _("Job")
    QUEUE = "jobqueue", _("Job queue")


# What can be switched off, in the order in which `GET /auditlog-exts/events` lists it.
EVENT_TYPES = (
    "create_artifact",
    "delete_artifact",
    "pull_artifact",
    "create_project",
    "delete_project",
    "delete_repository",
    "login_user",
    "logout_user",
    "create_user",
    "delete_user",
    "update_user",
    "create_robot",
    "delete_robot",
    "update_configuration",
    "create_member",
    "delete_member",
    "update_member",
    "update_project",
)


def event_label(event: str) -> str:
    """For people; `event` is one of EVENT_TYPES."""
    operation, _underscore, kind = event.partition("_")
    return f"{ResourceType(kind).label}: {Operation(operation).label}"
