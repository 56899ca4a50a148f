"""The bodies of deliveries: Harbor's own, CloudEvents, and Slack's blocks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from projects.models import WebhookPolicy

CLOUD_EVENTS = "CloudEvents"
MEDIA_TYPES = {CLOUD_EVENTS: "application/cloudevents+json"}
_CLOUD_TYPES = {
    "PUSH_ARTIFACT": "harbor.artifact.pushed",
    "PULL_ARTIFACT": "harbor.artifact.pulled",
    "DELETE_ARTIFACT": "harbor.artifact.deleted",
    "QUOTA_EXCEED": "harbor.quota.exceeded",
    "QUOTA_WARNING": "harbor.quota.warned",
    "SCANNING_COMPLETED": "harbor.scan.completed",
    "SCANNING_FAILED": "harbor.scan.failed",
    "SCANNING_STOPPED": "harbor.scan.stopped",
    "REPLICATION": "harbor.replication.status.changed",
    "TAG_RETENTION": "harbor.tag_retention.finished",
}


def build(
    *,
    policy: WebhookPolicy,
    target: Mapping[str, Any],
    event: str,
    operator: str,
    data: Mapping[str, Any],
    moment: datetime,
) -> str:
    """The body that `target` gets."""
    if target["type"] == "slack":
        return json.dumps({"blocks": _blocks(event, operator, data, moment)}, ensure_ascii=False)
    if target.get("payload_format") == CLOUD_EVENTS:
        return json.dumps(_cloud_event(policy, event, operator, data, moment), ensure_ascii=False)
    shape = {"type": event, "occur_at": int(moment.timestamp()), "operator": operator, "event_data": data}
    return json.dumps(shape, ensure_ascii=False)


def media_type(target: Mapping[str, Any]) -> str:
    return MEDIA_TYPES.get(target.get("payload_format", ""), "application/json")


def _cloud_event(
    policy: WebhookPolicy, event: str, operator: str, data: Mapping[str, Any], moment: datetime
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/projects/{policy.project_id}/webhook/policies/{policy.pk}",
        "type": _CLOUD_TYPES[event],
        "datacontenttype": "application/json",
        "time": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "requestid": str(uuid.uuid4()),
        "operator": operator,
        "data": data,
    }


def _blocks(event: str, operator: str, data: Mapping[str, Any], moment: datetime) -> list[dict[str, Any]]:
    when = f"<!date^{int(moment.timestamp())}^{{date}} at {{time}}|{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC>"
    texts = [
        "*Harbor webhook events*",
        f"*event_type:* {event}",
        f"*occur_at:* {when}",
        f"*operator:* {_plain(operator)}",
        "*event_data:*",
        f"```{_plain(json.dumps(data, indent=chr(9), ensure_ascii=False))}```",
    ]
    return [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts]


def _plain(text: str) -> str:
    """Without what Slack would read as a link, a mention or the end of the block."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("```", "'''")
