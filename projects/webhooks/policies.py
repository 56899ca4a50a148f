"""Webhook policies: made, changed, tried, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Conflict, PreconditionFailed
from harborsite.jobs.kinds import SLACK, WEBHOOK
from harborsite.jobs.models import FINAL, Execution, Trigger
from harborsite.principal import Principal
from projects import params
from projects.models import Project, WebhookPolicy
from projects.webhooks import events, payloads, samples

TYPES = ("http", "slack")
FORMATS = ("Default", payloads.CLOUD_EVENTS)
MAX_TARGETS = 10
_MAX_ADDRESS, _MAX_HEADER, _MAX_NAME, _MAX_TEXT = 2048, 4096, 128, 1024


def check_name(name: str, project: Project, policy: WebhookPolicy | None = None) -> None:
    """Raise where another policy of the project has this name."""
    found = WebhookPolicy.objects.filter(project=project, name=name).first()
    if found and found != policy:
        raise _exists(name)


def create_policy(
    *,
    project: Project,
    name: str,
    description: str,
    enabled: bool,
    event_types: Sequence[str],
    targets: Sequence[Mapping[str, Any]],
    actor: Principal,
) -> WebhookPolicy:
    policy = WebhookPolicy(project=project, creator=actor.username)
    _fill(policy, name, description, enabled, event_types, targets)
    with transaction.atomic():
        _save(policy)
        _record(actor, Operation.CREATE, policy)
        transaction.on_commit(events.forget)
    return policy


def update_policy(
    *,
    policy: WebhookPolicy,
    name: str,
    description: str,
    enabled: bool,
    event_types: Sequence[str],
    targets: Sequence[Mapping[str, Any]],
    actor: Principal,
) -> WebhookPolicy:
    _fill(policy, name, description, enabled, event_types, targets)
    with transaction.atomic():
        _save(policy)
        _record(actor, Operation.UPDATE, policy)
        transaction.on_commit(events.forget)
    return policy


def set_enabled(*, policy: WebhookPolicy, enabled: bool, actor: Principal) -> None:
    policy.enabled = enabled
    with transaction.atomic():
        _save(policy)
        _record(actor, Operation.UPDATE, policy)
        transaction.on_commit(events.forget)


def with_first_target(
    policy: WebhookPolicy, target: Mapping[str, Any], *, forget_header: bool = False
) -> list[dict[str, Any]]:
    """The policy's targets, the first one as given; the others, which only the REST API makes, as they are.

    A target without a header gets the stored one, unless it goes to another address, under weaker checks, or is
    to be forgotten: a secret never goes elsewhere than where it was entered for.
    """
    plain = {"auth_header": "", "skip_cert_verify": False, "payload_format": ""}
    stored = [{**plain, **each} for each in policy.targets]
    first = dict(target)
    if stored and not first["auth_header"] and not forget_header:
        same_place = first["address"].strip() == stored[0]["address"] and first["type"] == stored[0]["type"]
        if same_place and first["skip_cert_verify"] <= stored[0]["skip_cert_verify"]:
            first["auth_header"] = stored[0]["auth_header"]
    return [first, *stored[1:]]


def delete_policy(*, policy: WebhookPolicy, actor: Principal) -> None:
    """Remove a policy whose deliveries are all done."""
    unfinished = executions(policy).exclude(status__in=FINAL)
    if unfinished.exists():
        raise PreconditionFailed(_("the policy has deliveries under way, stop them first"))
    with transaction.atomic():
        _record(actor, Operation.DELETE, policy)
        policy.delete()
        transaction.on_commit(events.forget)


def send_test(*, policy: WebhookPolicy, event: str, actor: Principal) -> list[Execution]:
    """Tell the policy's targets of a made-up event that it asks for, be it enabled or not; one delivery for each.

    They go as every delivery does: with its signature, to addresses that may be called alone, with its attempts.
    """
    if event not in policy.event_types:
        raise BadRequest(_("unsupported event type {event}").format(event=event[:100]))
    if not params.get(params.NOTIFICATION_ENABLE):
        raise PreconditionFailed(_("Webhooks are switched off in the system settings."))
    wanted = events.Event(event)
    data = samples.data(wanted, policy.project, timezone.now())
    with transaction.atomic():
        _record(actor, Operation.TEST, policy)
        return events.tell(policy=policy, event=wanted, operator=actor.username, data=data, trigger=Trigger.MANUAL)


def executions(policy: WebhookPolicy) -> Any:
    """The deliveries of one policy."""
    return Execution.objects.filter(vendor_type__in=[WEBHOOK, SLACK], vendor_id=policy.pk)


def _fill(
    policy: WebhookPolicy,
    name: str,
    description: str,
    enabled: bool,
    event_types: Sequence[str],
    targets: Sequence[Mapping[str, Any]],
) -> None:
    if not 1 <= len(name) <= _MAX_NAME or len(description) > _MAX_TEXT:
        raise BadRequest(_("the name or description of the policy is empty or too long"))
    if not targets:
        raise BadRequest(_("empty notification target with policy {name}").format(name=name))
    if not event_types:
        raise BadRequest(_("empty event type"))
    if len(targets) > MAX_TARGETS:
        raise BadRequest(_("a policy has at most {count} targets").format(count=MAX_TARGETS))
    for event in event_types:
        if event not in events.Event.values:
            raise BadRequest(_("unsupported event type {event}").format(event=event[:100]))
    policy.name, policy.description, policy.enabled = name, description, enabled
    policy.event_types = list(dict.fromkeys(event_types))
    policy.targets = [_target(target) for target in targets]


def _target(given: Mapping[str, Any]) -> dict[str, Any]:
    kind, address, header = given["type"], given["address"].strip(), given["auth_header"]
    if kind not in TYPES:
        raise BadRequest(_("unsupported notify type {type}").format(type=kind[:100]))
    payload_format = given["payload_format"]
    if kind == "slack" and payload_format:
        raise BadRequest(_("set payload format is not allowed for slack"))
    if payload_format and payload_format not in FORMATS:
        raise BadRequest(_("unsupported payload format {format}").format(format=payload_format[:100]))
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(address) > _MAX_ADDRESS:
        raise BadRequest(_("invalid address of a webhook"))
    if len(header) > _MAX_HEADER or not header.isprintable():
        raise BadRequest(_("invalid auth header of a webhook"))
    target: dict[str, Any] = {"type": kind, "address": address}
    if header:
        target["auth_header"] = header
    if given["skip_cert_verify"]:
        target["skip_cert_verify"] = True
    if kind == "http":
        target["payload_format"] = payload_format or FORMATS[0]
    return target


def _save(policy: WebhookPolicy) -> None:
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError:
        raise _exists(policy.name) from None


def _exists(name: str) -> Conflict:
    return Conflict(_("notification policy named {name} already exists").format(name=name))


def _record(actor: Principal, operation: Operation, policy: WebhookPolicy) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.WEBHOOK,
        resource=policy.name,
        project_id=policy.project_id,
    )
