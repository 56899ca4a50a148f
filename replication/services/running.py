"""Doing one task of an execution: copying or deleting in one repository of the target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from harborsite.errors import AppError
from harborsite.jobs.runner import Job, PermanentError
from registry.oci.digest import Digest
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
    policy = policy_of(job.execution)
    attrs: Any = job.attrs
    repository, flow = str(attrs["dst_repository"]), Flow()
    with _logged(job, flow), closing(open_target(policy)) as target:
        if attrs["operation"] == TAG_DELETION:
            for tag in attrs["tags"]:
                job.check_stop()
                flow.patiently(partial(target.delete_tag, repository, tag))
                job.log(f"{repository}:{tag} deleted")
        else:
            digest = Digest.parse(attrs["digest"])
            flow.patiently(lambda: target.delete_artifact(repository, digest))
            job.log(f"{repository}@{digest} deleted")


@contextmanager
def _logged(job: Job, flow: Flow) -> Iterator[None]:
    """Whatever was said on the way is in the job's log, however the block ends."""
    try:
        yield
    finally:
        for line in flow.said():
            job.log(line)
