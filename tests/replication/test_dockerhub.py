"""Docker Hub as a source and as a target, with a stand-in for both of its hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from harborsite.errors import AppError
from harborsite.jobs.models import Execution, Status
from harborsite.sealing import seal
from projects.models import Project, User
from registry.models import Artifact, Tag
from registry.services import deletes, tags
from replication.adapters import dockerhub
from replication.adapters.base import connect
from replication.models import Registry, ReplicationPolicy
from replication.services import executions
from tests import images
from tests.replication.conftest import carry_out, log_of, policy, push_here
from tests.replication.hub import HubStandIn, docker_hub

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with docker_hub() as hub:
        monkeypatch.setattr(dockerhub, "HUB", hub.url)
        monkeypatch.setattr(dockerhub, "REGISTRY", hub.registry.url)
        yield hub


def registered(hub: HubStandIn, user: str = "", secret: str = "") -> Registry:
    return Registry.objects.create(
        name="hub", type="docker-hub", url=hub.url, access_key=user, access_secret=seal(secret)
    )


@pytest.fixture
def account(hub: HubStandIn) -> Registry:
    return registered(hub, *hub.account)


def pulled() -> set[tuple[str, str]]:
    return set(Tag.objects.values_list("repository__name", "name"))


def test_a_visitor_pulls_what_a_filter_names(admin: User, hub: HubStandIn) -> None:
    for name in ("alpine", "alpine-git", "busybox"):
        for tag in ("3", "edge"):
            hub.registry.hold(f"library/{name}", tag, images.index(f"{name} {tag}"))
    rule = policy(admin, registered(hub), "library/{alp*,busybox}", pull=True, dest_namespace="mirror")
    execution = carry_out(executions.start(policy=rule))
    assert execution.status == Status.SUCCESS, log_of(execution)
    expected = {(f"mirror/{name}", tag) for name in ("alpine", "alpine-git", "busybox") for tag in ("3", "edge")}
    assert pulled() == expected
    assert len(hub.asked("GET", "/v2/namespaces/library/repositories")) == 2, "page by page"
    assert not any(seen.authorization for seen in [*hub.seen, *hub.registry.asked("GET", "/token")])


def test_a_short_name_is_that_of_an_official_image(admin: User, hub: HubStandIn) -> None:
    hub.registry.hold("library/alpine", "3", images.image("alpine"))
    rule = policy(admin, registered(hub), "alpine", pull=True)
    assert carry_out(executions.start(policy=rule)).status == Status.SUCCESS
    assert pulled() == {("library/alpine", "3")}


def test_without_a_namespace_those_of_the_account_are_meant(admin: User, hub: HubStandIn, account: Registry) -> None:
    for name in ("robot/own", "team/shared", "stranger/app"):
        hub.registry.hold(name, "v1", images.image(name))
    rule = policy(admin, account, "**", pull=True)
    assert carry_out(executions.start(policy=rule)).status == Status.SUCCESS
    assert pulled() == {("robot/own", "v1"), ("team/shared", "v1")}
    Registry.objects.update(access_key="")
    execution = carry_out(executions.start(policy=rule))
    assert (execution.status, "name the namespaces" in execution.status_message) == (Status.ERROR, True)


def test_images_are_pushed_and_deleted(admin: User, library: Project, hub: HubStandIn, account: Registry) -> None:
    """The registry's host deletes nothing: tags are taken away by the Hub's own interface."""
    image = images.image("pushed")
    push_here(library, "library/team/app", ("v1", "v2", "v3"), image)
    flat: dict[str, Any] = {"dest_namespace": "robot", "dest_namespace_replace_count": -1}
    done = carry_out(executions.start(policy=policy(admin, account, "library/team/*", **flat)))
    assert done.status == Status.SUCCESS, log_of(done)
    assert hub.registry.tags("robot/app") == ["v1", "v2", "v3"]
    ReplicationPolicy.objects.all().delete()
    rule = policy(admin, account, "library/team/*", trigger="event_based", replicate_deletion=True, **flat)
    tags.delete(tag=Tag.objects.get(name="v2"), actor=admin)
    carry_out(Execution.objects.filter(vendor_id=rule.pk).latest("pk"))
    assert hub.registry.tags("robot/app") == ["v1", "v3"]
    deletes.delete_artifact(artifact=Artifact.objects.get(), actor=admin)
    execution = carry_out(Execution.objects.filter(vendor_id=rule.pk).latest("pk"))
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert hub.registry.tags("robot/app") == []


def test_a_name_that_the_hub_cannot_have_is_said(admin: User, library: Project, account: Registry) -> None:
    push_here(library, "library/deep/app", ("v1",), images.image("deep"))
    execution = carry_out(executions.start(policy=policy(admin, account, "library/deep/*")))
    assert execution.status == Status.ERROR
    assert "3 path component(s)" in execution.status_message


def test_a_wrong_password_is_said(hub: HubStandIn) -> None:
    with connect(registered(hub, "robot", "wrong")) as adapter, pytest.raises(AppError, match="401"):
        adapter.check()


def test_who_asks_too_often_comes_back_when_the_hub_says(admin: User, hub: HubStandIn, account: Registry) -> None:
    hub.registry.hold("robot/own", "v1", images.image("own"))
    left = [1]

    def too_many(call: Any) -> bool:
        if "repositories" not in call.path or not left:
            return False
        left.pop()
        call.say(429, X_Retry_After=str(int(time.time()) + 2))
        return True

    hub.faults.append(too_many)
    began = time.monotonic()
    execution = carry_out(executions.start(policy=policy(admin, account, "robot/*", pull=True)))
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert time.monotonic() - began >= 0.9
