"""Repositories, artifacts, tags, labels, copies and additions through the REST API."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest
from django.test import Client

from projects.models import Project, Quota, User
from projects.permissions import Role
from registry.models import Artifact, Repository, Tag
from tests import images
from tests.api.calls import API, delete, get, made, names, post, put
from tests.factories import add, client_for, error_code, make_project, push
from tests.images import artifact, image, index

REPOSITORY = "/projects/library/repositories/alpine"
ARTIFACTS = f"{REPOSITORY}/artifacts"


@pytest.fixture
def owner(library: Project) -> Client:
    return client_for(library.owner)


@pytest.fixture
def pushed(owner: Client) -> images.Manifest:
    manifest = image("3.19")
    assert push(owner, "library/alpine:3.19", manifest).status_code == 201
    return manifest


def test_a_pushed_image_is_found_by_tag_and_digest(owner: Client, pushed: images.Manifest) -> None:
    by_tag, by_digest = get(owner, f"{ARTIFACTS}/3.19").json(), get(owner, f"{ARTIFACTS}/{pushed.digest}").json()
    assert by_tag == by_digest
    assert by_tag["digest"] == pushed.digest
    assert (by_tag["type"], by_tag["repository_name"]) == ("IMAGE", "library/alpine")
    assert [tag["name"] for tag in by_tag["tags"]] == ["3.19"]
    assert get(owner, f"{ARTIFACTS}/3.20").status_code == 404
    repository = get(owner, REPOSITORY).json()
    assert (repository["artifact_count"], repository["name"]) == (1, "library/alpine")


def test_a_nested_repository_is_named_with_double_escapes(owner: Client) -> None:
    assert push(owner, "library/a/b:v1", image("nested")).status_code == 201
    for name in ("a%252Fb", "a%2Fb"):
        answer = owner.get(f"{API}/projects/library/repositories/{name}/artifacts/v1")
        assert answer.json()["repository_name"] == "library/a/b"
    assert "/repositories/a%252Fb/artifacts/" in json.dumps(answer.json()["addition_links"])


def test_parts_of_an_index_are_not_listed(owner: Client) -> None:
    both = index("multi")
    for child in both.walk():
        for blob in child.blobs:
            owner.post(
                f"/v2/library/alpine/blobs/uploads/?digest={blob.digest}", blob.data,
                content_type="application/octet-stream",
            )  # fmt: skip
    for manifest in both.walk():
        reference = "multi" if manifest.digest == both.digest else manifest.digest
        answer = owner.put(f"/v2/library/alpine/manifests/{reference}", manifest.data, content_type=manifest.media_type)
        assert answer.status_code == 201, answer.content
    assert names(get(owner, ARTIFACTS), "digest") == [both.digest]
    everything = names(get(owner, ARTIFACTS, q="base=*"), "digest")
    assert len(everything) == len(list(both.walk()))
    children = get(owner, f"{ARTIFACTS}/multi").json()["references"]
    assert {child["child_digest"] for child in children} < set(everything)
    refused = delete(owner, f"{ARTIFACTS}/{children[0]['child_digest']}")
    assert (refused.status_code, error_code(refused)) == (412, "VIOLATE_FOREIGN_KEY_CONSTRAINT")


def test_accessories_hang_on_their_subject(owner: Client, pushed: images.Manifest) -> None:
    sbom = artifact(subject=pushed)
    assert push(owner, "library/alpine:sbom", sbom).status_code == 201
    assert names(get(owner, ARTIFACTS), "digest") == [pushed.digest]
    (accessory,) = get(owner, f"{ARTIFACTS}/3.19/accessories").json()
    assert (accessory["digest"], accessory["subject_artifact_digest"]) == (sbom.digest, pushed.digest)
    assert get(owner, f"{ARTIFACTS}/3.19").json()["accessories"] == [accessory]
    assert get(owner, f"{ARTIFACTS}/3.19", with_accessory="false").json()["accessories"] is None


def test_tags_are_added_listed_and_taken_away(owner: Client, pushed: images.Manifest) -> None:
    assert post(owner, f"{ARTIFACTS}/3.19/tags", {"name": "latest"}).status_code == 201
    assert error_code(post(owner, f"{ARTIFACTS}/3.19/tags", {"name": "latest"})) == "CONFLICT"
    assert post(owner, f"{ARTIFACTS}/3.19/tags", {"name": "-bad"}).status_code == 400
    assert names(get(owner, f"{ARTIFACTS}/3.19/tags", sort="name")) == ["3.19", "latest"]
    assert names(get(owner, ARTIFACTS, q="tags=~lat"), "digest") == [pushed.digest]
    assert delete(owner, f"{ARTIFACTS}/3.19/tags/latest").status_code == 200
    assert delete(owner, f"{ARTIFACTS}/3.19/tags/latest").status_code == 404
    assert delete(owner, f"{ARTIFACTS}/3.19/tags/3.19").status_code == 200
    assert names(get(owner, ARTIFACTS, q="tags=nil"), "digest") == [pushed.digest]


def test_a_guest_reads_and_changes_nothing(pushed: images.Manifest, bob: User) -> None:
    guest = client_for(bob)
    assert get(guest, ARTIFACTS).status_code == get(guest, f"{ARTIFACTS}/3.19").status_code == 200
    assert post(guest, f"{ARTIFACTS}/3.19/tags", {"name": "x"}).status_code == 403
    assert delete(guest, f"{ARTIFACTS}/3.19").status_code == 403
    assert put(guest, REPOSITORY, {"description": "x"}).status_code == 403
    assert Tag.objects.count() == Artifact.objects.count() == 1


def test_deleting_gives_the_quota_back(owner: Client, pushed: images.Manifest, library: Project) -> None:
    assert Quota.objects.get(project=library).used > 0
    assert delete(owner, f"{ARTIFACTS}/3.19").status_code == 200
    assert delete(owner, REPOSITORY).status_code == 200
    assert Quota.objects.get(project=library).used == 0
    assert not Repository.objects.exists()


def test_a_description_is_kept_as_written_and_shown_escaped(owner: Client, pushed: images.Manifest) -> None:
    put(owner, REPOSITORY, {"description": '<b>"it\'s"</b> & more'})
    assert Repository.objects.get().description == '<b>"it\'s"</b> & more'
    shown = get(owner, REPOSITORY).json()["description"]
    assert shown == "&lt;b&gt;&#34;it&#39;s&#34;&lt;/b&gt; &amp; more"


def test_labels_are_put_on_and_found_again(owner: Client, pushed: images.Manifest, library: Project) -> None:
    label = made(post(owner, "/labels", {"name": "good", "scope": "p", "project_id": library.pk}))
    assert post(owner, f"{ARTIFACTS}/3.19/labels", {"id": label}).status_code == 200
    assert post(owner, f"{ARTIFACTS}/3.19/labels", {"id": label}).status_code == 409
    assert names(get(owner, ARTIFACTS, q=f"labels=({label})"), "digest") == [pushed.digest]
    assert get(owner, ARTIFACTS, q=f"labels={label}").status_code == 400
    shown = get(owner, f"{ARTIFACTS}/3.19", with_label="true").json()["labels"]
    assert [each["name"] for each in shown] == ["good"]
    assert delete(owner, f"/labels/{label}").status_code == 200
    assert get(owner, f"{ARTIFACTS}/3.19", with_label="true").json()["labels"] is None


def test_a_copy_needs_the_right_to_read_its_source(pushed: images.Manifest, carol: User) -> None:
    make_project("mine", carol)
    target, client = "/projects/mine/repositories/copy/artifacts", client_for(carol)
    refused = client.post(f"{API}{target}?from=library/alpine:3.19")
    assert (refused.status_code, error_code(refused)) == (403, "FORBIDDEN")
    assert not Repository.objects.filter(name="mine/copy").exists()


def test_a_copy_brings_tags_accessories_and_the_quota(
    owner: Client, pushed: images.Manifest, library: Project, carol: User
) -> None:
    sbom = artifact(subject=pushed)
    push(owner, "library/alpine:sbom", sbom)
    post(owner, f"{ARTIFACTS}/3.19/tags", {"name": "latest"})
    mine = make_project("mine", carol)
    add(library, carol, Role.GUEST)
    client, target = client_for(carol), "/projects/mine/repositories/copy/artifacts"
    copied = client.post(f"{API}{target}?from=library/alpine@{pushed.digest}")
    assert copied.status_code == 201
    assert copied["Location"] == f"{API}{target}/{pushed.digest}"
    shown = get(client, f"{target}/latest").json()
    assert {tag["name"] for tag in shown["tags"]} == {"3.19", "latest"}
    assert [each["digest"] for each in shown["accessories"]] == [sbom.digest]
    assert Quota.objects.get(project=mine).used == Quota.objects.get(project=library).used
    assert client.get("/v2/mine/copy/manifests/latest", headers={"Accept": pushed.media_type}).content == pushed.data
    alone = client.post(f"{API}{target}?from=library/alpine@{sbom.digest}")
    assert (alone.status_code, error_code(alone)) == (403, "DENIED")


def test_a_copy_is_refused_by_the_targets_quota(owner: Client, pushed: images.Manifest, library: Project) -> None:
    small = make_project("small", library.owner, quota=10)
    refused = owner.post(f"{API}/projects/small/repositories/copy/artifacts?from=library/alpine:3.19")
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert Quota.objects.get(project=small).used == 0


def chart(files: dict[str, bytes]) -> images.Manifest:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return chart_of(packed.getvalue())


def chart_of(archive: bytes) -> images.Manifest:
    config = json.dumps(
        {"name": "app", "version": "1.0.0", "dependencies": [{"name": "db", "version": "2", "repository": "r"}]}
    ).encode()
    blobs = (
        images.Blob("application/vnd.cncf.helm.config.v1+json", config),
        images.Blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive),
    )
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blobs[0].descriptor,
            "layers": [blobs[1].descriptor],
        }
    ).encode()
    return images.Manifest("application/vnd.oci.image.manifest.v1+json", data, blobs)


def test_the_files_of_a_chart_can_be_read(owner: Client) -> None:
    packed = chart({"app/values.yaml": b"a: 1\n", "app/README.md": b"# App\n", "app/charts/x/values.yaml": b"no"})
    assert push(owner, "library/app:1.0.0", packed).status_code == 201
    base = "/projects/library/repositories/app/artifacts/1.0.0/additions"
    assert get(owner, f"{base}/values.yaml").content == b"a: 1\n"
    readme = get(owner, f"{base}/readme.md")
    assert (readme.content, readme["Content-Type"]) == (b"# App\n", "text/markdown; charset=utf-8")
    assert readme["X-Content-Type-Options"] == "nosniff"
    assert get(owner, f"{base}/dependencies").json() == [{"name": "db", "version": "2", "repository": "r"}]
    assert get(owner, f"{base}/build_history").status_code == 400


@pytest.mark.parametrize(
    ("archive", "status"),
    [
        (b"no archive", 400),
        (gzip.compress(b"\0" * (80 * 1024 * 1024)), 413),
        (gzip.compress(b"\0" * 10240), 404),
    ],
    ids=["garbage", "bomb", "empty"],
)
def test_a_broken_or_boundless_chart_is_refused(owner: Client, archive: bytes, status: int) -> None:
    assert push(owner, "library/app:1.0.0", chart_of(archive)).status_code == 201
    answer = get(owner, "/projects/library/repositories/app/artifacts/1.0.0/additions/values.yaml")
    assert answer.status_code == status


def test_icons_are_pictures(owner: Client, pushed: images.Manifest) -> None:
    digest = get(owner, f"{ARTIFACTS}/3.19").json()["icon"]
    assert get(Client(), f"/icons/{digest}").json()["content"].startswith("iVBORw0KGgo")
    assert get(Client(), "/icons/sha256:0").status_code == 404


def test_lists_of_artifacts_cost_the_same_however_long_they_are(
    owner: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        push(owner, f"library/alpine:v{number}", image(f"v{number}"))
    get(owner, "/ping")
    wanted = {"with_tag": "true", "with_label": "true", "with_accessory": "true", "with_immutable_status": "true"}
    with django_assert_max_num_queries(10):
        assert len(get(owner, ARTIFACTS, **wanted).json()) == 5
    with django_assert_max_num_queries(7):
        assert len(get(owner, "/projects/library/repositories").json()) == 1


def test_search_and_statistics_show_what_one_may_see(
    owner: Client, pushed: images.Manifest, commons: Project, carol: User, admin: User
) -> None:
    push(owner, "commons/tool:v1", image("tool"))
    found = get(client_for(carol), "/search", q="o").json()
    assert [repository["repository_name"] for repository in found["repository"]] == ["commons/tool"]
    assert {project["name"] for project in get(owner, "/search", q="l").json()["project"]} == {"library"}
    counts = get(client_for(carol), "/statistics").json()
    assert (counts["public_repo_count"], counts["private_repo_count"], counts["total_repo_count"]) == (1, 0, 0)
    assert get(client_for(admin), "/statistics").json()["total_repo_count"] == 2
