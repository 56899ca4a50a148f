"""Deleting: rows at once, quota with them, and what hangs on an artifact goes with it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from projects.models import Project, Quota, User
from projects.permissions import Role
from registry.models import Artifact, ArtifactReference, BlobLink, Repository, Tag
from registry.policies import immutability
from registry.services import blobs, deletes
from tests.factories import add, client_for, error_code, make_user
from tests.images import artifact, image, index
from tests.registry import wire
from tests.registry.points import Killed, kill


def used(project: Project) -> int:
    return Quota.objects.get(project=project).used


def test_an_image_goes_with_all_its_tags(owner: Client, library: Project) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    wire.put_manifest(owner, "library/app", "v2", pushed)
    assert owner.delete(f"/v2/library/app/manifests/{pushed.digest}").status_code == 202
    for reference in ("v1", "v2", pushed.digest):
        assert wire.get_manifest(owner, "library/app", reference).status_code == 404
    assert owner.get("/v2/library/app/tags/list").json()["tags"] == []
    assert not ArtifactReference.objects.exists()
    assert used(library) == 0
    log = AuditLog.objects.get(operation="delete")
    assert (log.resource_type, log.resource) == ("artifact", f"library/app@{pushed.digest}")
    assert error_code(owner.delete(f"/v2/library/app/manifests/{pushed.digest}")) == "NOT_FOUND"


def test_the_quota_keeps_what_others_need(owner: Client, library: Project) -> None:
    first, second = image("one"), image("two")
    wire.push(owner, "library/app:v1", first)
    alone = used(library)
    wire.push(owner, "library/app:v2", second)
    wire.push(owner, "library/web:v1", first)
    owner.delete(f"/v2/library/app/manifests/{second.digest}")
    assert used(library) == alone
    owner.delete(f"/v2/library/app/manifests/{first.digest}")
    assert used(library) == alone, "another repository of the project holds it"
    owner.delete(f"/v2/library/web/manifests/{first.digest}")
    assert used(library) == 0


def test_a_client_that_saw_the_blobs_may_push_after_the_delete(owner: Client, library: Project) -> None:
    """`docker push` asks by HEAD what is there, and skips it; a delete in between must not break the image."""
    pushed = image(layers=2)
    wire.push(owner, "library/app:v1", pushed)
    before = used(library)
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    assert wire.put_manifest(owner, "library/app", "v1", pushed).status_code == 201
    assert used(library) == before
    assert all(BlobLink.objects.values_list("counted", flat=True))
    for blob in pushed.blobs:
        assert wire.has_blob(owner, "library/app", blob.digest)


def test_what_an_index_lists_is_kept(owner: Client) -> None:
    pushed = index()
    wire.push(owner, "library/app:multi", pushed)
    refused = owner.delete(f"/v2/library/app/manifests/{pushed.children[0].digest}")
    assert (refused.status_code, error_code(refused)) == (412, "VIOLATE_FOREIGN_KEY_CONSTRAINT")


def test_an_index_takes_the_children_that_nothing_else_needs(owner: Client) -> None:
    pushed = index(architectures=("amd64", "arm64", "s390x"))
    wire.push(owner, "library/app:multi", pushed)
    tagged, shared, _ = pushed.children
    wire.put_manifest(owner, "library/app", "keep", tagged)
    from tests.images import index_of

    other = index_of(shared)
    wire.put_manifest(owner, "library/app", "other", other)
    owner.delete(f"/v2/library/app/manifests/{pushed.digest}")
    assert set(Artifact.objects.values_list("digest", flat=True)) == {tagged.digest, shared.digest, other.digest}


def test_accessories_go_with_their_subject(owner: Client, library: Project) -> None:
    subject = image()
    signature = artifact(subject=subject)
    of_signature = artifact(b"[]", subject=signature)
    for pushed in (subject, signature, of_signature):
        wire.push(owner, "library/app", pushed)
    owner.delete(f"/v2/library/app/manifests/{subject.digest}")
    assert not Artifact.objects.exists()
    assert used(library) == 0


def test_an_accessory_may_be_deleted_alone(owner: Client) -> None:
    subject = image()
    signature = artifact(subject=subject)
    for pushed in (subject, signature):
        wire.push(owner, "library/app", pushed)
    assert owner.delete(f"/v2/library/app/manifests/{signature.digest}").status_code == 202
    assert owner.get(f"/v2/library/app/referrers/{subject.digest}").json()["manifests"] == []


def test_a_developer_pushes_and_does_not_delete(owner: Client, library: Project) -> None:
    erin = make_user("erin")
    add(library, erin, Role.DEVELOPER)
    client = client_for(erin)
    pushed = image()
    wire.push(client, "library/app:v1", pushed)
    for address in (f"manifests/{pushed.digest}", "manifests/v1", f"blobs/{pushed.blobs[0].digest}"):
        answer = client.delete(f"/v2/library/app/{address}")
        assert (answer.status_code, error_code(answer)) == (401, "UNAUTHORIZED")
    assert wire.get_manifest(client, "library/app", "v1").status_code == 200


def test_deleting_a_repository(owner: Client, library: Project, alice: User) -> None:
    wire.push(owner, "library/app:multi", index())
    wire.push(owner, "library/app:v1", artifact(subject=image()))
    wire.push(owner, "library/web:v1", image("web"))
    deletes.delete_repository(repository=Repository.objects.get(name="library/app"), actor=alice)
    assert set(Repository.objects.values_list("name", flat=True)) == {"library/web"}
    assert Artifact.objects.count() == Tag.objects.count() == 1
    web = Artifact.objects.get()
    assert used(library) == web.size
    assert AuditLog.objects.filter(operation="delete", resource_type="repository", resource="library/app").exists()


def test_a_large_repository_goes_in_pieces_and_a_crash_in_between_is_made_up_for(
    owner: Client, library: Project, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletes, "PIECE", 2)
    monkeypatch.setattr(blobs, "_IN_LIST", 2)
    wire.push(owner, "library/app:multi", index(architectures=("amd64", "arm64")))
    for tag in ("v1", "v2"):
        wire.push(owner, f"library/app:{tag}", image(tag))
    wire.push(owner, "library/web:v1", image("web"))
    repository = Repository.objects.get(name="library/app")
    piece, web = deletes._delete_piece, Artifact.objects.get(repository__name="library/web")

    def dies(*args: Any, **kwargs: Any) -> None:
        piece(*args, **kwargs)
        kill()

    monkeypatch.setattr(deletes, "_delete_piece", dies)
    with pytest.raises(Killed):
        deletes.delete_repository(repository=repository, actor=alice)
    left = set(Tag.objects.filter(repository=repository).values_list("name", flat=True))
    assert left == {"multi"}, "the newest go first, and others are whole"
    assert wire.get_manifest(owner, "library/app", "multi").status_code == 200
    record = AuditLog.objects.get(operation="delete", resource_type="repository")
    assert (record.username, record.resource) == ("alice", "library/app")
    monkeypatch.setattr(deletes, "_delete_piece", piece)
    deletes.delete_repository(repository=repository, actor=alice)
    assert not Repository.objects.filter(name="library/app").exists()
    assert list(Artifact.objects.all()) == [web]
    assert used(library) == web.size
    assert not BlobLink.objects.filter(repository_name="library/app", counted=True).exists()


def test_nothing_of_a_repository_goes_where_one_of_its_tags_is_immutable(
    owner: Client, library: Project, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletes, "PIECE", 1)
    for tag in ("kept", "v1", "v2"):
        wire.push(owner, f"library/app:{tag}", image(tag))
    immutability.create_rule(
        project=library,
        tag_selectors=[{"kind": "doublestar", "decoration": "matches", "pattern": "kept"}],
        scope_selectors={"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]},
        actor=alice,
    )
    with pytest.raises(immutability.TagImmutable):
        deletes.delete_repository(repository=Repository.objects.get(name="library/app"), actor=alice)
    assert Artifact.objects.count() == 3


def test_deleting_is_never_refused_for_lack_of_quota(owner: Client, library: Project) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    Quota.objects.filter(project=library).update(hard=1)
    assert owner.delete(f"/v2/library/app/manifests/{pushed.digest}").status_code == 202
    assert used(library) == 0


@pytest.mark.parametrize("reference", ["none", "sha256:" + "0" * 64])
def test_deleting_what_is_not_there(owner: Client, reference: str) -> None:
    answer = owner.delete(f"/v2/library/app/manifests/{reference}")
    assert (answer.status_code, error_code(answer)) == (404, "NOT_FOUND")
