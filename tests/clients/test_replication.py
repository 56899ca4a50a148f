"""Fifty repositories of ten tags on their way through three registries, each of which dies on the way."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests import images, services
from tests.clients.copying import JSON, Operator
from tests.clients.registry import Registry
from tests.fleet import Fleet, digests_at

FLEET = Fleet("fleet")
ALLOWED = "127.0.0.0/8"


@pytest.fixture(scope="module")
def upstream() -> Iterator[services.DockerRegistry]:
    with services.docker_registry_process(log={"level": "error"}) as registry:
        FLEET.push(registry.host)
        yield registry


@pytest.fixture(scope="module")
def here() -> Iterator[services.Site]:
    with services.harborsite(allowed_networks=ALLOWED) as site:
        yield site


@pytest.fixture(scope="module")
def there() -> Iterator[services.Site]:
    with services.harborsite(allowed_networks=ALLOWED) as site:
        yield site


def when_done(operator: Operator, execution: int, count: int, act: Callable[[], None]) -> None:
    """Do something harmful once `count` tasks have succeeded, while others still run."""
    deadline = time.monotonic() + 60
    while (found := operator.execution(execution))["succeed"] < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    assert found["status"] == "InProgress", operator.log(execution)
    act()


def kill_a_busy_worker(operator: Operator) -> None:
    deadline = time.monotonic() + 10
    while not (busy := operator.busy_workers()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(busy[0], signal.SIGKILL)


def test_a_pull_survives_the_death_of_a_worker_and_of_its_source(
    upstream: services.DockerRegistry, here: services.Site
) -> None:
    operator = Operator(here)
    source = operator.registry(upstream.host, "docker-registry")
    policy = operator.policy("pull", "fleet/**", src_registry={"id": source})
    execution = operator.start(policy)
    when_done(operator, execution, 5, lambda: kill_a_busy_worker(operator))
    when_done(operator, execution, 15, upstream.kill9)
    upstream.start()
    found = operator.finish(execution)
    assert (found["status"], found["succeed"], found["total"]) == ("Succeed", 50, 50), operator.log(
        execution, only_failed=True
    )
    wanted = FLEET.digests
    assert digests_at(here.host, list(wanted), "admin", here.password) == wanted


def test_a_push_survives_the_death_of_its_target_and_of_this_server(
    upstream: services.DockerRegistry, here: services.Site, there: services.Site
) -> None:
    operator = Operator(here)
    target = operator.registry(there.host, "harbor", "admin", there.password)
    policy = operator.policy("push", "fleet/**", dest_registry={"id": target})
    execution = operator.start(policy)
    when_done(operator, execution, 5, there.kill9)
    there.start()
    when_done(operator, execution, 15, here.kill9)
    here.start()
    found = operator.finish(execution)
    assert (found["status"], found["succeed"], found["total"]) == ("Succeed", 50, 50), operator.log(
        execution, only_failed=True
    )
    wanted = FLEET.digests
    assert digests_at(there.host, list(wanted), "admin", there.password) == wanted
    assert "trying again" in operator.log(execution)


# --- between two Harborsites ------------------------------------------------------------------------------


@pytest.fixture
def operator(here: services.Site) -> Operator:
    return Operator(here)


@pytest.fixture(scope="module")
def other_side(here: services.Site, there: services.Site) -> int:
    """The other Harborsite, as a registry of this one."""
    return Operator(here).registry(there.host, "harbor", "admin", there.password, name="there")


def is_public(rest: Registry, project: str) -> bool:
    return bool(rest.expect(200, "GET", f"/api/v2.0/projects/{project}").json["metadata"]["public"] == "true")


def referrers(rest: Registry, repository: str, digest: str) -> list[str]:
    found = rest.expect(200, "GET", f"/v2/{repository}/referrers/{digest}").json["manifests"]
    return sorted(each["digest"] for each in found)


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_projects_platforms_and_signatures_arrive_and_come_back(
    operator: Operator, there: services.Site, other_side: int
) -> None:
    rest, remote = operator.rest, Registry(there.host, "admin", there.password)
    image = images.index("whole")
    signature = images.artifact(b"signature", subject=image)
    for name, public in (("open", True), ("closed", False)):
        rest.create_project(name, public=public)
        rest.push(f"{name}/team/app", image, "v1")
        rest.push(f"{name}/team/app", signature)
    push = operator.policy("whole", "{open,closed}/**", dest_registry={"id": other_side})
    done = operator.run(push)
    assert (done["status"], done["total"]) == ("Succeed", 2), done["log"]
    assert (is_public(remote, "open"), is_public(remote, "closed")) == (True, False)
    for name in ("open", "closed"):
        remote.assert_serves(f"{name}/team/app", "v1", image)
        assert referrers(remote, f"{name}/team/app", image.digest) == [signature.digest]
    back = {}
    for name in ("open", "closed"):
        flat = {"dest_namespace": f"{name}-back", "dest_namespace_replace_count": 1}
        back[name] = operator.policy(f"{name} back", f"{name}/**", src_registry={"id": other_side}, **flat)
        done = operator.run(back[name])
        assert done["status"] == "Succeed", done["log"]
        rest.assert_serves(f"{name}-back/team/app", "v1", image)
        assert referrers(rest, f"{name}-back/team/app", image.digest) == [signature.digest]
    assert (is_public(rest, "open-back"), is_public(rest, "closed-back")) == (True, False)
    late = images.artifact(b"signed later", subject=image)
    remote.push("open/team/app", late)
    done = operator.run(back["open"])
    assert "1 manifest(s) copied, 2 were there" in done["log"]
    assert referrers(rest, "open-back/team/app", image.digest) == sorted([signature.digest, late.digest])


def test_a_label_chooses_what_is_pushed_and_what_is_pulled(
    operator: Operator, there: services.Site, other_side: int
) -> None:
    remote = Registry(there.host, "admin", there.password)
    for rest, name in ((operator.rest, "labelled"), (remote, "far-labelled")):
        rest.create_project(name)
        for tag in ("v1", "v2"):
            rest.push(f"{name}/app", images.image(f"{name} {tag}"), tag)
        made = rest.expect(201, "POST", "/api/v2.0/labels", b'{"name":"released","scope":"g"}', JSON)
        label = json.dumps({"id": int(made.headers["location"].rpartition("/")[2])}).encode()
        path = f"/api/v2.0/projects/{name}/repositories/app/artifacts/v2/labels"
        rest.expect(200, "POST", path, label, JSON)
    for name, side in (("labelled", "dest_registry"), ("far-labelled", "src_registry")):
        filters = [
            {"type": "name", "value": f"{name}/**"},
            {"type": "label", "value": ["released"], "decoration": "matches"},
        ]
        done = operator.run(operator.policy(name, "", filters=filters, **{side: {"id": other_side}}))
        assert done["status"] == "Succeed", done["log"]
    assert remote.tags("labelled/app") == ["v2"]
    assert operator.rest.tags("far-labelled/app") == ["v2"]


def test_a_policy_that_does_not_override_leaves_other_tags_alone(
    operator: Operator, there: services.Site, other_side: int
) -> None:
    rest, remote = operator.rest, Registry(there.host, "admin", there.password)
    theirs, ours = images.image("theirs"), images.image("ours")
    for side, image in ((remote, theirs), (rest, ours)):
        side.create_project("kept")
        side.push("kept/app", image, "v1")
    rest.push("kept/app", ours, "v2")
    policy = operator.policy("kept", "kept/**", dest_registry={"id": other_side}, override=False)
    done = operator.run(policy)
    assert (done["status"], "does not override: skipped" in done["log"]) == ("Succeed", True)
    remote.assert_serves("kept/app", "v1", theirs)
    remote.assert_serves("kept/app", "v2", ours)


def test_a_deleted_tag_and_a_deleted_artifact_are_deleted_there(
    operator: Operator, there: services.Site, other_side: int
) -> None:
    rest, remote = operator.rest, Registry(there.host, "admin", there.password)
    trigger = {"type": "event_based"}
    operator.policy("events", "events/**", dest_registry={"id": other_side}, trigger=trigger, deletion=True)
    rest.create_project("events")
    image = images.image("events")
    for tag in ("v1", "v2"):
        rest.push("events/a/app", image, tag)
    wait_until(lambda: remote.has("events/a/app", "v1") and remote.has("events/a/app", "v2"))
    artifacts = "/api/v2.0/projects/events/repositories/a%252Fapp/artifacts"
    rest.expect(200, "DELETE", f"{artifacts}/v2/tags/v2")
    wait_until(lambda: not remote.has("events/a/app", "v2"))
    assert remote.has("events/a/app", "v1")
    rest.expect(200, "DELETE", f"{artifacts}/{image.digest}")
    wait_until(lambda: not remote.has("events/a/app", image.digest))


def test_a_log_is_in_the_language_of_the_server(operator: Operator, there: services.Site) -> None:
    """Whoever reads it may have another one than whoever asked first."""
    remote = Registry(there.host, "admin", there.password)
    person = json.dumps(
        {"username": "guest", "email": "guest@example.com", "realname": "guest", "password": "Harb0r-away"}
    )
    remote.expect(201, "POST", "/api/v2.0/users", person.encode(), JSON)
    remote.create_project("shut")
    operator.rest.create_project("shut")
    operator.rest.push("shut/app", images.image("shut"), "v1")
    target = operator.registry(there.host, "harbor", "guest", "Harb0r-away", name="as guest")
    done = operator.run(operator.policy("refused", "shut/**", dest_registry={"id": target}))
    assert done["status"] == "Failed"
    assert "/v2/shut/app/tags/list was answered with 401: UNAUTHORIZED" in done["log"]
