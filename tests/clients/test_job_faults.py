"""What jobs must survive: workers killed at any moment, a server that stops, a Redis that loses everything."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.receiver import Receiver, receiving

API = "/api/v2.0"
WORKERS = 2


def eventually(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def site() -> Iterator[services.Site]:
    with services.harborsite(max_job_workers=WORKERS, allowed_networks="127.0.0.0/8") as site:
        yield site


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def told_project(registry: Registry, receiver: Receiver, event: str = "PUSH_ARTIFACT") -> str:
    """A project of which the receiver is told."""
    name = f"jobs-{uuid.uuid4().hex[:12]}"
    registry.create_project(name)
    hook = {
        "name": "hook",
        "enabled": True,
        "event_types": [event],
        "targets": [{"type": "http", "address": receiver.url}],
    }
    body = json.dumps(hook).encode()
    headers = {"Content-Type": "application/json"}
    registry.expect(201, "POST", f"{API}/projects/{name}/webhook/policies", body, headers)
    return name


def admin(site: services.Site) -> Registry:
    return Registry(site.host, "admin", site.password)


def push_tags(registry: Registry, project: str, count: int) -> set[str]:
    """So many jobs: each tag that is pushed is told."""
    image = images.image("job")
    tags = {f"v{number}" for number in range(count)}
    for tag in tags:
        registry.push(f"{project}/app", image, tag)
    return tags


def told(receiver: Receiver, event: str = "PUSH_ARTIFACT") -> Counter[str]:
    return Counter(each["event_data"]["resources"][0]["tag"] for each in receiver.all(event))


def workers(registry: Registry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = registry.expect(200, "GET", f"{API}/jobservice/pools/all/workers").json
    return found


def kill(worker: dict[str, Any]) -> int:
    with suppress(ProcessLookupError):
        os.kill(int(worker["id"].rpartition(":")[2]), signal.SIGKILL)
        return 1
    return 0


def done(registry: Registry, project: str) -> int:
    """How many deliveries of the project's webhook have ended well; all of them are there."""
    (policy,) = registry.expect(200, "GET", f"{API}/projects/{project}/webhook/policies").json
    path = f"{API}/projects/{project}/webhook/policies/{policy['id']}/executions?page_size=100"
    return Counter(each["status"] for each in registry.expect(200, "GET", path).json)["Success"]


def test_no_more_jobs_run_at_once_than_there_are_workers(site: services.Site, receiver: Receiver) -> None:
    registry = admin(site)
    receiver.delay = 0.3
    project = told_project(registry, receiver)
    tags = push_tags(registry, project, 8)
    eventually(lambda: done(registry, project) == len(tags))
    assert receiver.busiest == WORKERS
    assert set(told(receiver).values()) == {1}


def test_killed_workers_lose_no_job_and_leave_none_waiting(site: services.Site, receiver: Receiver) -> None:
    """Idle or busy, at any moment; what no killed worker held is done once."""
    registry = admin(site)
    project = told_project(registry, receiver)
    killed = sum(kill(worker) for worker in workers(registry))  # idle: the others must go on all the same
    receiver.delay = 0.05
    tags = push_tags(registry, project, 12)
    for _ in range(4):
        time.sleep(random.uniform(0.05, 0.4))
        killed += sum(kill(worker) for worker in workers(registry)[:1])
    eventually(lambda: done(registry, project) == len(tags))
    assert told(receiver).keys() == tags
    assert killed
    assert told(receiver).total() <= len(tags) + killed


def test_the_job_of_a_killed_worker_is_done_by_another_at_once(site: services.Site, receiver: Receiver) -> None:
    registry = admin(site)
    receiver.delay = 60
    project = told_project(registry, receiver)
    tags = push_tags(registry, project, 1)
    eventually(lambda: told(receiver).keys() == tags)
    receiver.delay = 0
    began = time.monotonic()
    for worker in workers(registry):
        if "job_id" in worker:
            kill(worker)
    eventually(lambda: done(registry, project) == 1)
    assert told(receiver).total() == 2
    assert time.monotonic() - began < 10


def test_a_server_that_stops_while_jobs_run_goes_on_with_them_later(site: services.Site, receiver: Receiver) -> None:
    registry = admin(site)
    receiver.delay = 0.2
    project = told_project(registry, receiver)
    tags = push_tags(registry, project, 10)
    site.restart()
    eventually(lambda: done(registry, project) == len(tags))
    assert told(receiver).keys() == tags


def test_a_server_killed_after_a_repository_went_tells_of_each_artifact_and_makes_no_delivery_twice(
    site: services.Site, receiver: Receiver
) -> None:
    registry = admin(site)
    project = told_project(registry, receiver, "DELETE_ARTIFACT")
    pushed = [images.image(f"gone {number}") for number in range(30)]
    for number, image in enumerate(pushed):
        registry.push(f"{project}/app", image, f"v{number}")
    registry.expect(200, "DELETE", f"{API}/projects/{project}/repositories/app")
    receiver.delay = 0.05
    for _ in range(2):
        site.server.kill()
        site.start()
        time.sleep(random.uniform(0.0, 0.6))
        for worker in workers(registry):
            kill(worker)
    eventually(lambda: done(registry, project) >= len(pushed), seconds=90)
    assert done(registry, project) == len(pushed), "one delivery for each"
    assert told(receiver, "DELETE_ARTIFACT").keys() == {f"v{number}" for number in range(len(pushed))}


# --- Redis ------------------------------------------------------------------------------------------------


def health(registry: Registry) -> dict[str, str]:
    answer = registry.expect(200, "GET", f"{API}/health").json
    return {"": answer["status"], **{part["name"]: part["status"] for part in answer["components"]}}


def test_a_redis_that_is_lost_loses_no_job(receiver: Receiver) -> None:
    with (
        services.redis() as redis,
        services.harborsite(max_job_workers=WORKERS, allowed_networks="127.0.0.0/8", redis_url=redis.url) as site,
    ):
        registry = admin(site)
        project = told_project(registry, receiver)
        receiver.delay = 0.1
        first = push_tags(registry, project, 6)
        redis.process.kill()  # with what it holds
        eventually(lambda: health(registry)["redis"] == "unhealthy")
        assert health(registry)[""] == "unhealthy"
        began = time.monotonic()
        registry.push(f"{project}/app", images.image("meanwhile"), "meanwhile")
        assert time.monotonic() - began < 5, "a push does not wait for the queue"
        redis.start()
        eventually(lambda: done(registry, project) == len(first) + 1)
        assert told(receiver).keys() == first | {"meanwhile"}
        assert set(told(receiver).values()) == {1}
        assert health(registry)[""] == "healthy"
