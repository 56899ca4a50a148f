"""Doing one task of an execution: copying or deleting in one repository of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from harborsite.errors import AppError
from harborsite.jobs.runner import Job, PermanentError
from registry.oci.digest import Digest
from replication.adapters.base import Target
from replication.errors import ProxyCacheTarget
from replication.filters import Candidate, Filters
from replication.flow import Flow, is_temporary
from replication.services.planning import (
    COPY,
    TAG_DELETION,
    destination_if_copied,
    open_source,
    open_target,
    policy_of,
)
from replication.transfer import Transfer


def perform(job: Job) -> None:
    """Raises PermanentError where another try would end in the same way."""
    try:
        if job.attrs["operation"] == COPY:
            _copy(job)
        else:
            _delete(job)
    except ProxyCacheTarget as error:
        job.log(error.message, "WARNING")
    except AppError as error:
        if is_temporary(error):
            raise
        raise PermanentError(error.message) from error


def _copy(job: Job) -> None:
    policy = policy_of(job.execution)
    attrs: Any = job.attrs
    filters = Filters(policy.filters)
    artifacts = [Candidate(each["digest"], tuple(each["tags"])) for each in attrs["artifacts"]]
    src, dst = str(attrs["src_repository"]), str(attrs["dst_repository"])
    job.log(f"copying {attrs['src_resource']} to {dst} of {policy.dest_registry or 'this registry'}")
    flow = Flow(kilobytes_per_second=policy.speed)
    with _logged(job, flow), closing(open_source(policy)) as source, closing(open_target(policy)) as target:
        transfer = Transfer(
            source=source,
            target=target,
            src=src,
            dst=dst,
            override=policy.override,
            flow=flow,
            job=job,
        )
        transfer.run(
            artifacts,
            public=bool(attrs["public"]),
            mountable=lambda name: destination_if_copied(policy, filters, name),
        )


def _delete(job: Job) -> None:
    policy, flow = policy_of(job.execution), Flow()
    with _logged(job, flow), closing(open_target(policy)) as target:
        left = dict(_deletions(job, target))
        while left:
            refused = _tried(left, flow, job)
            if len(refused) == len(left):
                raise next(iter(refused.values()))
            left = {name: left[name] for name in refused}  # an index keeps what it lists, until it has gone itself


def _deletions(job: Job, target: Target) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is to be deleted, and how."""
    attrs: Any = job.attrs
    repository = str(attrs["dst_repository"])
    for each in attrs["artifacts"]:
        if attrs["operation"] == TAG_DELETION:
            for tag in each["tags"]:
                yield f"{repository}:{tag}", partial(target.delete_tag, repository, tag)
        else:
            digest = Digest.parse(each["digest"])
            yield f"{repository}@{digest}", partial(target.delete_artifact, repository, digest)


def _tried(steps: Mapping[str, Callable[[], None]], flow: Flow, job: Job) -> dict[str, AppError]:
    """Take each step; what the target refuses keeps none of the others from being taken."""
    refused: dict[str, AppError] = {}
    for number, (name, step) in enumerate(steps.items(), 1):
        job.check_stop()
        try:
            flow.patiently(step)
        except AppError as error:
            if is_temporary(error):
                raise
            refused[name] = error
            job.log(f"{name}: {error.message}", "WARNING")
        else:
            job.log(f"{name} deleted")
        job.progress(number - len(refused), len(steps), "artifacts")
    return refused


@contextmanager
def _logged(job: Job, flow: Flow) -> Iterator[None]:
    """Whatever was said on the way is in the job's log, however the block ends."""
    try:
        yield
    finally:
        for line in flow.said():
            job.log(line)
