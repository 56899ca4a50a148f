"""What an event carries, made up: for trying a webhook before anything has happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from harborsite.config import current
from projects.models import Project
from projects.webhooks.events import Event

_NAME, _TAG = "sample", "test"
_DIGEST = f"sha256:{'0' * 64}"
_REPORT = "application/vnd.security.vulnerability.report; version=1.1"


def data(event: Event, project: Project, moment: datetime) -> dict[str, Any]:
    """The `event_data` of this kind of event, of an artifact that no registry has."""
    match event:
        case Event.PUSH_ARTIFACT | Event.PULL_ARTIFACT | Event.DELETE_ARTIFACT:
            return _of_artifact(project)
        case Event.QUOTA_EXCEED | Event.QUOTA_WARNING:
            details = {"Details": f"this is a test of {event}: no quota has been reached"}
            return {**_of_artifact(project), "custom_attributes": details}
        case Event.SCANNING_COMPLETED | Event.SCANNING_FAILED | Event.SCANNING_STOPPED:
            status = {Event.SCANNING_COMPLETED: "Success", Event.SCANNING_FAILED: "Error"}.get(event, "Stopped")
            return _of_artifact(project, scan_overview={_REPORT: {"scan_status": status, "severity": "None"}})
        case Event.REPLICATION:
            return {"replication": _replication(project, moment)}
        case Event.TAG_RETENTION:
            return {"retention": _retention(project)}


def _of_artifact(project: Project, **more: Any) -> dict[str, Any]:
    full_name = f"{project.name}/{_NAME}"
    url = f"{current().registry_host}/{full_name}:{_TAG}"
    return {
        "resources": [{"digest": _DIGEST, "tag": _TAG, "resource_url": url, **more}],
        "repository": {
            "name": _NAME,
            "namespace": project.name,
            "repo_full_name": full_name,
            "repo_type": "public" if project.public else "private",
        },
    }


def _replication(project: Project, moment: datetime) -> dict[str, Any]:
    here = {"registry_type": "harbor", "endpoint": current().external_url, "namespace": project.name}
    copied = {"type": "image", "status": "Success", "name_tag": f"{_NAME}:{_TAG}", "references": [_TAG]}
    return {
        "harbor_hostname": current().registry_host,
        "job_status": "Success",
        "description": "",
        "artifact_type": "image",
        "authentication_type": "basic",
        "override_mode": True,
        "trigger_type": "MANUAL",
        "policy_creator": "",
        "execution_timestamp": int(moment.timestamp()),
        "src_resource": here,
        "dest_resource": {**here, "registry_name": _NAME},
        "execution_id": 0,
        "task_id": 0,
        "successful_artifact": [copied],
    }


def _retention(project: Project) -> dict[str, Any]:
    deleted = {"type": "image", "status": "SUCCESS", "name_tag": f"{_NAME}:{_TAG}", "references": None}
    return {
        "total": 1,
        "retained": 0,
        "harbor_hostname": current().registry_host,
        "project_name": project.name,
        "retention_policy_id": 0,
        "retention_rule": [],
        "result": "SUCCESS",
        "deleted_artifact": [deleted],
    }
