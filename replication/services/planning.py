"""Finding out what an execution has to do: one task for each repository, carrying all of its tags that are meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from django.utils.translation import gettext_noop

from harborsite.errors import BadRequest, Conflict
from harborsite.jobs.models import Execution, Status
from projects.models import User
from replication.adapters.base import CHUNK_BYTES, Listing, Options, Source, Target, connect, kind_of
from replication.errors import PolicyUnknown
from replication.filters import ARTIFACT, IMAGE, Filters
from replication.flow import Flow
from replication.local import Local
from replication.models import VENDOR_TYPE, ReplicationPolicy
from replication.namespaces import AT_LEAST_TWO, check_parts, target_name

COPY, DELETION, TAG_DELETION = "copy", "deletion", "tag deletion"
# On the wire as they are; the portal shows them in the reader's language.
NOTHING_TO_DO = gettext_noop("no resources need to be replicated")
ALREADY_ACTIVE = gettext_noop("Execution skipped: active replication still in progress.")


def plan(execution: Execution) -> list[dict[str, object]]:
    """The parameters of each task; an execution without any says why in its message."""
    policy = policy_of(execution)
    if policy.single_active_replication and _another_is_active(execution):
        raise Conflict(ALREADY_ACTIVE)
    event = execution.extra_attrs.get("event")
    tasks = _deletions(policy, event) if event and event["operation"] != COPY else _copies(policy, event)
    if not tasks:
        execution.status_message = NOTHING_TO_DO
    return tasks


def policy_of(execution: Execution) -> ReplicationPolicy:
    rows = ReplicationPolicy.objects.select_related("src_registry", "dest_registry")
    policy = rows.filter(pk=execution.vendor_id).first()
    if policy is None:
        raise PolicyUnknown(f"replication policy {execution.vendor_id} not found")
    return policy


def open_source(policy: ReplicationPolicy) -> Source:
    return connect(policy.src_registry) if policy.src_registry else Local(actor_of(policy))


def open_target(policy: ReplicationPolicy) -> Target:
    if policy.dest_registry is None:
        return Local(actor_of(policy))
    return connect(policy.dest_registry, Options(CHUNK_BYTES if policy.copy_by_chunk else 0))


def actor_of(policy: ReplicationPolicy) -> User:
    """Whose writes a policy's are: its creator's, or the first administrator's if that one has gone."""
    living = User.objects.living().filter(sysadmin_flag=True).order_by("pk")
    return living.filter(username=policy.creator).first() or living[0]


def destination(policy: ReplicationPolicy, name: str) -> str:
    """Where a repository goes; BadRequest if it cannot go there."""
    mapped = target_name(name, policy.dest_namespace, policy.dest_namespace_replace_count)
    rule = kind_of(policy.dest_registry.type).name_parts if policy.dest_registry else AT_LEAST_TWO
    return check_parts(mapped, rule)


def destination_if_copied(policy: ReplicationPolicy, filters: Filters, name: str) -> str | None:
    """The same for a repository that the policy may mean or not."""
    if not filters.means_repository(name):
        return None
    try:
        return destination(policy, name)
    except BadRequest:
        return None


def _another_is_active(execution: Execution) -> bool:
    """An older one: of two that start together one must win."""
    mine = Execution.objects.filter(vendor_type=VENDOR_TYPE, vendor_id=execution.vendor_id, status=Status.RUNNING)
    return mine.filter(pk__lt=execution.pk).exists()


def _copies(policy: ReplicationPolicy, event: Mapping[str, Any] | None) -> list[dict[str, object]]:
    filters = Filters(policy.filters)
    with closing(open_source(policy)) as source:
        if event:
            found = [source.listing(event["repository"], filters, each["digest"]) for each in event["artifacts"]]
            listings: Iterable[Listing] = filter(None, found)
        else:
            listings = Flow().patiently(lambda: list(source.listings(filters)))
        return [_copy(policy, filters, listing) for listing in listings if listing.artifacts]


def _copy(policy: ReplicationPolicy, filters: Filters, listing: Listing) -> dict[str, object]:
    count = sum(max(len(artifact.tags), 1) for artifact in listing.artifacts)
    dst = destination(policy, listing.name)
    return {
        "operation": COPY,
        "resource_type": filters.resource or (ARTIFACT if listing.public is not None else IMAGE),
        "src_resource": f"{listing.name} [{count} item(s) in total]",
        "dst_resource": f"{dst} [{count} item(s) in total]",
        "src_repository": listing.name,
        "dst_repository": dst,
        "public": bool(listing.public),
        "artifacts": [{"digest": each.digest, "tags": list(each.tags)} for each in listing.artifacts],
    }


def _deletions(policy: ReplicationPolicy, event: Mapping[str, Any]) -> list[dict[str, object]]:
    """What was deleted here and is meant; the source can no longer be asked about it."""
    filters, name = Filters(policy.filters), event["repository"]
    if not filters.means_repository(name):
        return []
    meant = [_meant(filters, each) for each in event["artifacts"]]
    artifacts = [each for each in meant if each is not None]
    if not artifacts:
        return []
    dst, count = destination(policy, name), sum(max(len(each["tags"]), 1) for each in artifacts)
    return [
        {
            "operation": event["operation"],
            "resource_type": filters.resource or ARTIFACT,
            "src_resource": f"{name} [{count} item(s) in total]",
            "dst_resource": f"{dst} [{count} item(s) in total]",
            "dst_repository": dst,
            "artifacts": artifacts,
        }
    ]


def _meant(filters: Filters, artifact: Mapping[str, Any]) -> dict[str, Any] | None:
    """The artifact with those of its tags that are meant; None if nothing of it is."""
    tags = [tag for tag in artifact["tags"] if filters.means_tag(tag)]
    if not tags and (artifact["tags"] or not filters.means_tag("")):
        return None
    return {"digest": artifact["digest"], "tags": tags}
