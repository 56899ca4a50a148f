"""Mounting: a blob comes to another repository without being sent again, if its source may be read."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from projects.models import Project, Quota, Robot, User
from projects.permissions import Role
from registry.models import Blob
from tests.factories import add, bearer_client, client_for, error_code, grant, make_project, make_robot, make_user
from tests.images import digest_of
from tests.registry import wire

DATA = b"a layer to be mounted"
DIGEST = digest_of(DATA)
UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture
def other(library: Project) -> Project:
    """A second project of alice."""
    return make_project("other", library.owner)


@pytest.fixture
def pushed(owner: Client) -> Client:
    wire.put_blob(owner, "library/app", DATA)
    return owner


def mount(client: Client, repository: str, digest: str = DIGEST, source: str | None = "library/app") -> Any:
    query = {"mount": digest} | ({"from": source} if source is not None else {})
    address = f"/v2/{repository}/blobs/uploads/"
    return client.post(f"{address}?{'&'.join(f'{key}={value}' for key, value in query.items())}")


def token(who: User | Robot | None, *scopes: str) -> Client:
    answer = client_for(who).get("/service/token", {"service": "harbor-registry", "scope": scopes})
    return bearer_client(answer.json()["token"])


def test_a_blob_is_mounted_from_another_project(pushed: Client, other: Project) -> None:
    done = mount(pushed, "other/app")
    assert (done.status_code, done["Docker-Content-Digest"]) == (201, DIGEST)
    assert wire.content(wire.get_blob(pushed, "other/app", DIGEST)) == DATA
    assert Quota.objects.get(project=other).used == len(DATA)
    assert Blob.objects.count() == 1


def test_a_one_part_source_is_in_the_default_project(pushed: Client, other: Project) -> None:
    wire.put_blob(pushed, "plain", DATA)
    assert mount(pushed, "other/app", source="plain").status_code == 201


def test_what_the_source_does_not_hold_is_uploaded(pushed: Client, other: Project) -> None:
    for digest, source in ((UNKNOWN, "library/app"), (DIGEST, "library/none"), (DIGEST, "other/none")):
        answer = mount(pushed, "other/app", digest, source)
        assert answer.status_code == 202
        assert wire.finish(pushed, answer, DIGEST, DATA).status_code == 201
        pushed.delete(f"/v2/other/app/blobs/{DIGEST}")


def test_the_source_must_be_readable_and_nothing_tells_whether_it_holds_the_blob(pushed: Client, carol: User) -> None:
    make_project("mine", carol)
    client = client_for(carol)
    answers = [
        mount(client, "mine/app"),
        mount(client, "mine/app", UNKNOWN),
        mount(client, "mine/app", source="library/none"),
        mount(client, "mine/app", source="none/app"),
    ]
    assert {(answer.status_code, error_code(answer)) for answer in answers} == {(401, "UNAUTHORIZED")}
    assert not wire.has_blob(client, "mine/app", DIGEST)


def test_a_token_must_name_the_source(pushed: Client, library: Project, other: Project) -> None:
    """Alice may read both, her token says so of one."""
    alice = library.owner
    narrow = token(alice, "repository:other/app:pull,push")
    assert mount(narrow, "other/app").status_code == 401
    wide = token(alice, "repository:other/app:pull,push", "repository:library/app:pull")
    assert mount(wide, "other/app").status_code == 201


def test_a_robot_mounts_from_where_it_is_granted(pushed: Client, other: Project) -> None:
    robot = make_robot("ci", grant("other", "repository:push", "repository:pull"))
    assert mount(client_for(robot), "other/app").status_code == 401
    Robot.objects.filter(pk=robot.pk).delete()
    both = make_robot("ci2", grant("other", "repository:push"), grant("library", "repository:pull"))
    assert mount(client_for(both), "other/app").status_code == 201


def test_without_a_source_any_readable_repository_will_do(pushed: Client, other: Project) -> None:
    assert mount(pushed, "other/app", source=None).status_code == 201
    assert mount(pushed, "other/app", UNKNOWN, source=None).status_code == 202


def test_without_a_source_unreadable_repositories_do_not_count(pushed: Client, carol: User) -> None:
    make_project("mine", carol)
    client = client_for(carol)
    assert mount(client, "mine/app", source=None).status_code == 202
    assert not wire.has_blob(client, "mine/app", DIGEST)


def test_without_a_source_the_token_decides(pushed: Client, library: Project, other: Project) -> None:
    narrow = token(library.owner, "repository:other/app:pull,push")
    assert mount(narrow, "other/app", source=None).status_code == 202


def test_a_source_that_is_no_name_is_uploaded_to(pushed: Client, other: Project) -> None:
    assert mount(pushed, "other/app", source="../library").status_code == 202


def test_a_guest_of_the_source_mounts_where_he_may_push(pushed: Client, bob: User) -> None:
    project = make_project("bobs", make_user("erin"))
    add(project, bob, Role.DEVELOPER)
    assert mount(client_for(bob), "bobs/app").status_code == 201


def test_a_full_quota_refuses_the_mount(pushed: Client, library: Project) -> None:
    make_project("small", library.owner, quota=5)
    refused = mount(pushed, "small/app")
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert not wire.has_blob(pushed, "small/app", DIGEST)
