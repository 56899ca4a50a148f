"""Counting pulls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from projects.models import Project, User
from registry.models import Artifact, Repository, Tag
from registry.services import pulls
from tests.factories import bearer_client, client_for
from tests.images import image, index
from tests.registry import wire


def pull_log() -> list[tuple[str, str]]:
    return list(AuditLog.objects.filter(operation="pull").order_by("pk").values_list("username", "resource"))


def test_pulls_are_counted_when_they_are_flushed(owner: Client, bob: User) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    wire.put_manifest(owner, "library/app", "v2", pushed)
    for reference in ("v1", "v1", pushed.digest):
        wire.get_manifest(client_for(bob), "library/app", reference)
    assert Repository.objects.get().pull_count == 0
    pulls.flush()
    assert Repository.objects.get().pull_count == 3
    recently = timezone.now() - timedelta(minutes=1)
    artifact = Artifact.objects.get()
    assert artifact.pull_time is not None
    assert artifact.pull_time > recently
    tag = Tag.objects.get(name="v1")
    assert tag.pull_time is not None
    assert tag.pull_time > recently
    assert Tag.objects.get(name="v2").pull_time is None
    by_digest = f"library/app@{pushed.digest}"
    assert pull_log() == [("bob", "library/app:v1"), ("bob", "library/app:v1"), ("bob", by_digest)]
    pulls.flush()
    assert Repository.objects.get().pull_count == 3


def test_a_pull_writes_nothing(owner: Client, django_assert_max_num_queries: Any) -> None:
    wire.push(owner, "library/app:v1", image())
    wire.get_manifest(owner, "library/app", "v1")
    with django_assert_max_num_queries(4) as captured:
        wire.get_manifest(owner, "library/app", "v1")
    assert all(query["sql"].startswith("SELECT") for query in captured.captured_queries)


def test_head_and_not_modified_do_not_count(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    owner.head("/v2/library/app/manifests/v1", headers=wire.ACCEPT)
    owner.get("/v2/library/app/manifests/v1", headers={"If-None-Match": f'"{pushed.digest}"'})
    owner.get("/v2/library/app/manifests/v1", headers={"Accept": "text/plain"})
    pulls.flush()
    assert Repository.objects.get().pull_count == 0
    assert pull_log() == []


def test_pulling_a_child_keeps_its_index_alive(owner: Client) -> None:
    pushed = index()
    wire.push(owner, "library/app:multi", pushed)
    wire.push(owner, "library/other:multi", pushed)
    wire.get_manifest(owner, "library/app", pushed.children[0].digest)
    pulls.flush()
    parents = dict(Artifact.objects.filter(digest=pushed.digest).values_list("repository__name", "pull_time"))
    assert parents["library/app"] is not None
    assert parents["library/other"] is None
    assert Artifact.objects.get(repository__name="library/app", digest=pushed.children[1].digest).pull_time is None


def test_an_anonymous_pull_is_logged_as_such(commons: Project) -> None:
    wire.push(client_for(commons.owner), "commons/app:v1", image())
    answer = Client().get("/service/token", {"service": "harbor-registry", "scope": "repository:commons/app:pull"})
    assert wire.get_manifest(bearer_client(answer.json()["token"]), "commons/app", "v1").status_code == 200
    pulls.flush()
    assert pull_log() == [("anonymous", "commons/app:v1")]


def test_a_full_memory_is_written_at_once(owner: Client, monkeypatch: Any) -> None:
    wire.push(owner, "library/app:v1", image())
    monkeypatch.setattr(pulls, "_WRITE_NOW", 3)
    for _ in range(3):
        wire.get_manifest(owner, "library/app", "v1")
    assert Repository.objects.get().pull_count == 3


def test_what_could_not_be_written_is_kept(owner: Client, monkeypatch: Any) -> None:
    from django.db import DatabaseError

    def away(*gathered: object) -> None:
        raise DatabaseError("away")

    wire.push(owner, "library/app:v1", image())
    wire.get_manifest(owner, "library/app", "v1")
    with monkeypatch.context() as patched:
        patched.setattr(pulls, "_write", away)
        pulls.flush()
    assert Repository.objects.get().pull_count == 0
    pulls.flush()
    assert Repository.objects.get().pull_count == 1
    assert len(pull_log()) == 1


def test_deleted_while_the_pull_waited(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    wire.get_manifest(owner, "library/app", "v1")
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    pulls.flush()
    assert len(pull_log()) == 1
