"""Telling a project's webhooks what happens to its artifacts."""

from __future__ import annotations

from typing import Any

from harborsite.config import current
from projects.webhooks import Event, notify
from projects.webhooks.events import is_wanted
from registry import signals
from registry.models import Repository


def connect() -> None:
    signals.artifact_pushed.connect(_pushed, dispatch_uid="registry.receivers")
    signals.artifact_pulled.connect(_pulled, dispatch_uid="registry.receivers")
    signals.artifact_deleted.connect(_deleted, dispatch_uid="registry.receivers")


def _pushed(*, project_id: int, repository: str, digest: str, tags: tuple[str, ...], username: str, **_: Any) -> None:
    for tag in tags or ("",):
        _tell(Event.PUSH_ARTIFACT, project_id, repository, digest, tag, username)


def _pulled(*, project_id: int, repository: str, digest: str, tag: str, username: str, **_: Any) -> None:
    _tell(Event.PULL_ARTIFACT, project_id, repository, digest, tag, username)


def _deleted(*, project_id: int, repository: str, digest: str, tags: tuple[str, ...], username: str, **_: Any) -> None:
    _tell(Event.DELETE_ARTIFACT, project_id, repository, digest, next(iter(tags), ""), username)


def _tell(event: Event, project_id: int, repository: str, digest: str, tag: str, username: str) -> None:
    if not is_wanted(event, project_id):
        return
    where = f"{repository}:{tag}" if tag else f"{repository}@{digest}"
    resource = {"digest": digest, "tag": tag or digest, "resource_url": f"{current().registry_host}/{where}"}
    data = {"resources": [resource], "repository": _repository(repository)}
    notify(event=event, project_id=project_id, operator=username, data=data)


def _repository(full_name: str) -> dict[str, Any]:
    namespace, _, name = full_name.partition("/")
    row = Repository.objects.select_related("project").filter(name=full_name).first()
    shape: dict[str, Any] = {"date_created": int(row.creation_time.timestamp())} if row else {}
    public = row is not None and row.project.public
    return shape | {
        "name": name,
        "namespace": namespace,
        "repo_full_name": full_name,
        "repo_type": "public" if public else "private",
    }
