"""Every address of the portal, filled in from the registry of the pictures."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import URLPattern, reverse

from harborsite.jobs import kinds
from harborsite.jobs.models import Execution
from projects.models import Label, Project, Quota, Robot, User, UserGroup, WebhookPolicy
from registry.models import ImmutableRule, Repository, RetentionPolicy, Scanner
from registry.policies import retention
from replication.models import PreheatInstance, Registry, ReplicationPolicy

RUNS = {
    "event": kinds.SYSTEM_ARTIFACT_CLEANUP,
    "purge_run": kinds.PURGE_AUDIT_LOG,
    "garbage_run": kinds.GARBAGE_COLLECTION,
    "check_run": kinds.CHECK_STORAGE,
    "retention_run": kinds.RETENTION,
    "webhook_run": kinds.WEBHOOK,
    "replication_run": kinds.REPLICATION,
}


def names() -> dict[str, set[str]]:
    """Every page of the portal by the name of its address, with what the address is made of."""
    urls = (url for url in admin.site.get_urls() if isinstance(url, URLPattern))
    return {str(url.name): set(url.pattern.converters) for url in urls}


def address_of(name: str, project: Project) -> str:
    """A page of this project, or of the system."""
    parts = names()[name]
    known = _of_project(project) if "project" in parts else _of_system()
    if run := next((kind for start, kind in RUNS.items() if name.removeprefix("stop_").startswith(start)), ""):
        found = Execution.objects.filter(vendor_type=run, tasks__isnull=False).latest("vendor_id", "pk")
        known |= {"execution_id": found.pk, "task_id": found.tasks.latest("pk").pk, "policy_id": found.vendor_id}
    return reverse(f"admin:{name}", kwargs={part: known[part] for part in parts})


def _of_project(project: Project) -> dict[str, Any]:
    repository = Repository.objects.filter(project=project).order_by("-name").first()
    policy = RetentionPolicy.objects.filter(project=project).first()
    found = {
        "label_id": Label.objects.filter(project=project),
        "robot_id": Robot.objects.filter(project=project),
        "policy_id": WebhookPolicy.objects.filter(project=project),
        "rule_id": ImmutableRule.objects.filter(project=project),
    }
    known: dict[str, Any] = {part: rows.values_list("pk", flat=True).first() or 1 for part, rows in found.items()}
    assert repository
    newest = repository.artifacts.latest("pk")
    known |= {"repository": repository.short_name, "digest": newest.digest}
    return {**known, "project": project.name, "name": retention.fingerprint(policy.rules[0]) if policy else "none"}


def _of_system() -> dict[str, Any]:
    found: dict[str, Any] = {
        "label_id": Label.objects.filter(project=None),
        "robot_id": Robot.objects.filter(project=None),
        "group_id": UserGroup.objects,
        "quota_id": Quota.objects,
        "user_id": User.objects.filter(sysadmin_flag=False),
        "policy_id": ReplicationPolicy.objects,
        "registry_id": Registry.objects,
        "scanner_id": Scanner.objects,
        "instance_id": PreheatInstance.objects,
    }
    known = {part: rows.values_list("pk", flat=True).first() or 1 for part, rows in found.items()}
    return {**known, "name": "web-shop/storefront"}
