"""Telling a project's webhooks what happens to its artifacts, its quota and by its retention policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harborsite.config import current
from harborsite.jobs.models import Status
from projects.models import Project
from projects.services import quotas
from projects.webhooks import Event, notify, notify_of_many
from projects.webhooks.events import is_wanted
from registry import signals
from registry.models import Repository, RetentionPolicy
from registry.policies.judgement import Candidate
from registry.signals import Gone


def connect() -> None:
    signals.artifact_pushed.connect(_pushed, dispatch_uid="registry.receivers")
    signals.artifact_pulled.connect(_pulled, dispatch_uid="registry.receivers")
    signals.artifacts_deleted.connect(_deleted, dispatch_uid="registry.receivers")
    signals.quota_exceeded.connect(_exceeded, dispatch_uid="registry.receivers")
    signals.retention_done.connect(_retained, dispatch_uid="registry.receivers")


def _pushed(*, project_id: int, repository: str, digest: str, tags: tuple[str, ...], username: str, **_: Any) -> None:
    for tag in tags or ("",):
        _tell(Event.PUSH_ARTIFACT, project_id, repository, digest, tag, username)
    if is_wanted(Event.QUOTA_WARNING, project_id) and (message := quotas.warning(project_id=project_id)):
        _tell_of_quota(Event.QUOTA_WARNING, project_id, repository, digest, next(iter(tags), ""), username, message)


def _pulled(*, project_id: int, repository: str, digest: str, tag: str, username: str, **_: Any) -> None:
    _tell(Event.PULL_ARTIFACT, project_id, repository, digest, tag, username)


def _deleted(
    *, project_id: int, repository: str, username: str, artifacts: Sequence[Gone], repository_goes: bool, **_: Any
) -> None:
    """One event for each, in the transaction that deletes them. As in Harbor, it has the first tag alone, and no date
    of a repository that goes as well.
    """
    if not is_wanted(Event.DELETE_ARTIFACT, project_id):
        return
    shape = _repository(project_id, repository)
    if repository_goes:
        shape.pop("date_created", None)
    events = [
        {"resources": [_resource(repository, each.digest, next(iter(each.tags), ""))], "repository": shape}
        for each in artifacts
    ]
    notify_of_many(event=Event.DELETE_ARTIFACT, project_id=project_id, operator=username, events=events)


def _tell(event: Event, project_id: int, repository: str, digest: str, tag: str, username: str) -> None:
    if not is_wanted(event, project_id):
        return
    data = {"resources": [_resource(repository, digest, tag)], "repository": _repository(project_id, repository)}
    notify(event=event, project_id=project_id, operator=username, data=data)


def _resource(repository: str, digest: str, tag: str) -> dict[str, str]:
    where = f"{repository}:{tag}" if tag else f"{repository}@{digest}"
    return {"digest": digest, "tag": tag or digest, "resource_url": f"{current().registry_host}/{where}"}


def _exceeded(
    *, project_id: int, repository: str, digest: str, tag: str, username: str, message: str, **_: Any
) -> None:
    if is_wanted(Event.QUOTA_EXCEED, project_id):
        _tell_of_quota(Event.QUOTA_EXCEED, project_id, repository, digest, tag, username, message)


def _tell_of_quota(
    event: Event, project_id: int, repository: str, digest: str, tag: str, username: str, message: str
) -> None:
    known = {name: value for name, value in (("digest", digest), ("tag", tag)) if value}
    data = {
        "resources": [known],
        "repository": _repository(project_id, repository),
        "custom_attributes": {"Details": message},
    }
    notify(event=event, project_id=project_id, operator=username, data=data)


def _repository(project_id: int, full_name: str) -> dict[str, Any]:
    namespace, _, name = full_name.partition("/")
    row = Repository.objects.filter(name=full_name).first()
    shape: dict[str, Any] = {"date_created": int(row.creation_time.timestamp())} if row else {}
    public = Project.objects.filter(pk=project_id, public=True).exists()
    return shape | {
        "name": name,
        "namespace": namespace,
        "repo_full_name": full_name,
        "repo_type": "public" if public else "private",
    }


def _retained(
    *,
    project_id: int,
    policy_id: int,
    repository: str,
    total: int,
    retained: int,
    deleted: Sequence[Candidate],
    outcome: Status,
    username: str,
    **_: Any,
) -> None:
    """Only what has deleted something is told, as one event for each repository."""
    if not deleted or not is_wanted(Event.TAG_RETENTION, project_id):
        return
    policy = RetentionPolicy.objects.select_related("project").get(pk=policy_id)
    name = repository.partition("/")[2]
    retention = {
        "total": total,
        "retained": retained,
        "harbor_hostname": current().registry_host,
        "project_name": policy.project.name,
        "retention_policy_id": policy_id,
        "retention_rule": [{field: rule[field] for field in _RULE_FIELDS if field in rule} for rule in policy.rules],
        "result": outcome.upper(),
        "deleted_artifact": [
            {
                "type": "image",
                "status": "SUCCESS",
                "name_tag": f"{name}:{each.tags[0]}" if each.tags else f"{name}@{each.digest}",
                "references": None,
            }
            for each in deleted
        ],
    }
    notify(event=Event.TAG_RETENTION, project_id=project_id, operator=username, data={"retention": retention})


_RULE_FIELDS = ("template", "params", "tag_selectors", "scope_selectors")
