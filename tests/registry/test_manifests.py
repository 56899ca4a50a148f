"""Pushing and reading manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from projects.models import Project, Quota, User
from registry.models import Artifact, Repository, Tag
from tests import images
from tests.factories import client_for, error_code, make_project
from tests.images import Manifest, artifact, digest_of, image, index, index_of
from tests.registry import wire

LIMIT = 4 * 1024 * 1024


def manifest_of(document: dict[str, Any], media_type: str = images.OCI_MANIFEST) -> Manifest:
    return Manifest(media_type, json.dumps(document).encode())


@pytest.mark.parametrize("docker", [False, True])
def test_an_image_comes_back_as_the_exact_bytes(owner: Client, docker: bool) -> None:
    pushed = image(docker=docker)
    answer = wire.push(owner, "library/app:v1", pushed)
    assert (answer.status_code, answer["Docker-Content-Digest"]) == (201, pushed.digest)
    assert answer["Location"] == f"http://testserver/v2/library/app/manifests/{pushed.digest}"
    for reference in ("v1", pushed.digest):
        got = wire.get_manifest(owner, "library/app", reference)
        assert got.content == pushed.data
        head = owner.head(f"/v2/library/app/manifests/{reference}", headers=wire.ACCEPT)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag"):
            assert head[name] == got[name]
        assert got["Content-Type"] == pushed.media_type
        assert got["Content-Length"] == str(len(pushed.data))
        assert got["ETag"] == f'"{pushed.digest}"'


def test_a_name_of_one_part_is_in_the_default_project(owner: Client) -> None:
    pushed = image()
    answer = wire.push(owner, "hello-world:latest", pushed)
    assert answer["Location"] == f"http://testserver/v2/hello-world/manifests/{pushed.digest}"
    for name in ("hello-world", "library/hello-world"):
        assert wire.get_manifest(owner, name, "latest").content == pushed.data
        assert owner.get(f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["latest"]}
    assert Repository.objects.get().name == "library/hello-world"


def test_what_is_derived_from_an_image(owner: Client, library: Project) -> None:
    pushed = image(annotations={"org.example.note": "hi"})
    wire.push(owner, "library/app:v1", pushed)
    row = Artifact.objects.get()
    assert (row.type, row.media_type, row.artifact_type) == ("IMAGE", images.OCI_CONFIG, images.OCI_CONFIG)
    assert row.size == len(pushed.data) + sum(len(blob.data) for blob in pushed.blobs)
    assert row.annotations == {"org.example.note": "hi"}
    assert row.extra_attrs == {
        "created": images.CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/hello"], "Env": ["PATH=/usr/bin:/bin"]},
    }
    assert (row.pull_time, row.subject_digest, row.accessory_type) == (None, "", "")
    assert Quota.objects.get(project=library).used == row.size
    log = AuditLog.objects.get(resource_type="artifact")
    assert (log.username, log.operation, log.resource) == ("alice", "create", "library/app:v1")
    assert log.project_id == library.pk


def test_an_index_with_its_children(owner: Client) -> None:
    pushed = index()
    assert wire.push(owner, "library/app:multi", pushed).status_code == 201
    assert wire.get_manifest(owner, "library/app", "multi").content == pushed.data
    row = Artifact.objects.get(digest=pushed.digest)
    children = Artifact.objects.exclude(pk=row.pk)
    assert row.size == len(pushed.data) + sum(child.size for child in children)
    platforms = [child.platform["architecture"] for child in row.children.all()]
    assert platforms == ["amd64", "arm64"]


def test_pushing_again_moves_the_tag_and_keeps_the_old_image_by_digest(owner: Client) -> None:
    first, second = image("first"), image("second")
    wire.push(owner, "library/app:v1", first)
    wire.push(owner, "library/app:v1", second)
    assert wire.get_manifest(owner, "library/app", "v1").content == second.data
    assert wire.get_manifest(owner, "library/app", first.digest).content == first.data
    before = Tag.objects.get().push_time
    assert wire.put_manifest(owner, "library/app", "v1", second).status_code == 201
    assert Tag.objects.get().push_time > before
    assert Artifact.objects.count() == 2


def test_several_tags_at_once(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app", pushed)
    answer = wire.put_manifest(owner, "library/app", f"{pushed.digest}?tag=a&tag=b&tag=a", pushed)
    assert (answer.status_code, answer["OCI-Tag"]) == (201, "a, b")
    assert owner.get("/v2/library/app/tags/list").json()["tags"] == ["a", "b"]
    bad = wire.put_manifest(owner, "library/app", f"{pushed.digest}?tag=ok&tag=no!", pushed)
    assert (bad.status_code, error_code(bad)) == (400, "TAG_INVALID")
    assert not Tag.objects.filter(name="ok").exists()


def test_a_sha512_manifest(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    digest = digest_of(pushed.data, "sha512")
    answer = wire.put_manifest(owner, "library/app", f"{digest}?tag=long", pushed)
    assert (answer.status_code, answer["Docker-Content-Digest"]) == (201, digest)
    assert wire.get_manifest(owner, "library/app", "long")["Docker-Content-Digest"] == digest


def test_what_the_client_has_is_not_sent_again(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    same = {**wire.ACCEPT, "If-None-Match": f'"{pushed.digest}"'}
    answer = owner.get("/v2/library/app/manifests/v1", headers=same)
    assert (answer.status_code, answer.content) == (304, b"")
    other = {**wire.ACCEPT, "If-None-Match": '"sha256:other"'}
    assert owner.get("/v2/library/app/manifests/v1", headers=other).status_code == 200


@pytest.mark.parametrize(
    ("docker", "accept", "status"),
    [
        (False, images.DOCKER_MANIFEST, 404),
        (False, "", 404),
        (False, "*/*", 200),
        (False, f"{images.DOCKER_MANIFEST}, {images.OCI_MANIFEST};q=0.5", 200),
        (True, images.OCI_MANIFEST, 200),
        (True, "", 200),
    ],
)
def test_oci_types_go_only_to_who_accepts_them(owner: Client, docker: bool, accept: str, status: int) -> None:
    wire.push(owner, "library/app:v1", image(docker=docker))
    answer = owner.get("/v2/library/app/manifests/v1", headers={"Accept": accept} if accept else {})
    assert answer.status_code == status
    if status == 404:
        assert error_code(answer) == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize("reference", ["none", "sha256:" + "0" * 64])
def test_a_missing_manifest(owner: Client, reference: str) -> None:
    answer = wire.get_manifest(owner, "library/app", reference)
    separator = "@" if ":" in reference else ":"
    assert (answer.status_code, error_code(answer)) == (404, "NOT_FOUND")
    assert answer.json()["errors"][0]["message"] == f"artifact library/app{separator}{reference} not found"


def test_a_digest_that_is_not_the_content_is_refused(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app", pushed)
    for reference in ("sha256:" + "0" * 64, "sha256:baddigeststring"):
        answer = wire.put_manifest(owner, "library/app", reference, pushed)
        assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")
    assert Artifact.objects.count() == 1


def test_layers_may_be_missing_but_not_the_configuration(owner: Client) -> None:
    pushed = image(layers=2)
    config, *_ = pushed.blobs
    refused = wire.put_manifest(owner, "library/app", "v1", pushed)
    assert (refused.status_code, error_code(refused)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert refused.json()["errors"][0]["detail"] == config.digest
    assert not Repository.objects.exists()
    wire.put_blob(owner, "library/app", config.data)
    assert wire.put_manifest(owner, "library/app", "v1", pushed).status_code == 201


def test_an_index_needs_one_of_its_children(owner: Client) -> None:
    pushed = index()
    refused = wire.put_manifest(owner, "library/app", "multi", pushed)
    assert (refused.status_code, error_code(refused)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert refused.json()["errors"][0]["detail"] == pushed.children[0].digest
    wire.push(owner, "library/app", pushed.children[1])
    assert wire.put_manifest(owner, "library/app", "multi", pushed).status_code == 201
    assert wire.push(owner, "library/app:empty", index_of()).status_code == 201


def test_blobs_of_another_repository_do_not_count(owner: Client) -> None:
    """Else a manifest would be a way to read what one may not."""
    pushed = image()
    for blob in pushed.blobs:
        wire.put_blob(owner, "library/other", blob.data)
    assert error_code(wire.put_manifest(owner, "library/app", "v1", pushed)) == "MANIFEST_BLOB_UNKNOWN"


def test_a_build_cache_lists_blobs_in_an_index(owner: Client) -> None:
    layer = image().blobs[1]
    wire.put_blob(owner, "library/cache", layer.data)
    document = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [layer.descriptor]}
    pushed = manifest_of(document, images.OCI_INDEX)
    assert wire.put_manifest(owner, "library/cache", "cache", pushed).status_code == 201
    assert [reference.digest for reference in Artifact.objects.get().references.all()] == [layer.digest]


def test_a_manifest_of_four_mebibytes_passes_and_one_byte_more_does_not(owner: Client) -> None:
    small = image()
    wire.push(owner, "library/app:v1", small)
    document = small.json | {"annotations": {"padding": ""}}
    document["annotations"]["padding"] = "x" * (LIMIT - len(json.dumps(document)))
    largest = manifest_of(document)
    assert len(largest.data) == LIMIT
    assert wire.put_manifest(owner, "library/app", "large", largest).status_code == 201
    larger = Manifest(images.OCI_MANIFEST, largest.data + b" ")
    refused = wire.put_manifest(owner, "library/app", "larger", larger)
    assert (refused.status_code, error_code(refused)) == (413, "REQUEST_ENTITY_TOO_LARGE")
    assert not Tag.objects.filter(name="larger").exists()


def test_a_huge_manifest_is_refused_unread(owner: Client) -> None:
    """Whether its length is announced or not."""

    class Endless:
        read_bytes = 0

        def read(self, size: int = -1) -> bytes:
            Endless.read_bytes += size
            return b" " * size

        readline = read

    address = "/v2/library/app/manifests/v1"
    announced = {"wsgi.input": Endless(), "CONTENT_LENGTH": str(LIMIT + 1)}
    assert owner.generic("PUT", address, b"", images.OCI_MANIFEST, **announced).status_code == 413  # type: ignore[arg-type]
    assert Endless.read_bytes == 0
    chunked = {"wsgi.input": Endless(), "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    assert owner.generic("PUT", address, b"", images.OCI_MANIFEST, **chunked).status_code == 413  # type: ignore[arg-type]
    assert Endless.read_bytes <= LIMIT + 65536


def test_a_truncated_manifest_is_not_stored(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app", pushed)
    address = "/v2/library/app/manifests/v1"
    answer = wire.cut_short(owner, "PUT", address, pushed.data[:50], announced=len(pushed.data))
    assert error_code(answer) == "SIZE_INVALID"
    assert not Tag.objects.exists()


EMPTY = {"mediaType": images.OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", images.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"[]", images.OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"{}", "application/json", "UNSUPPORTED"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "UNSUPPORTED"),
        (
            json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "config": EMPTY}).encode(),
            images.OCI_MANIFEST,
            "MANIFEST_INVALID",
        ),
        (
            json.dumps({"schemaVersion": 2, "config": EMPTY, "layers": [], "manifests": []}).encode(),
            images.OCI_MANIFEST,
            "MANIFEST_INVALID",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(owner: Client, body: bytes, content_type: str, code: str) -> None:
    wire.put_blob(owner, "library/app", b"{}")
    answer = owner.put("/v2/library/app/manifests/v1", body, content_type=content_type)
    assert (answer.status_code, error_code(answer)) == (400, code)
    assert not Artifact.objects.exists()


@pytest.mark.parametrize("name", ["library/App", "library/-a", "library/a..b", "library/../etc", "library/a%252Fb"])
def test_bad_names_are_refused_in_json(owner: Client, name: str) -> None:
    for address in (f"/v2/{name}/manifests/v1", f"/v2/{name}/tags/list", f"/v2/{name}/blobs/uploads/"):
        answer = owner.put(address, b"{}", content_type=images.OCI_MANIFEST)
        assert (answer.status_code, error_code(answer)) == (400, "NAME_INVALID"), address
    assert not Repository.objects.exists()


@pytest.mark.parametrize("tag", ["-a", ".a", "a" * 129, "a!b", "a%20b"])
def test_bad_tags_are_refused(owner: Client, tag: str) -> None:
    answer = wire.put_manifest(owner, "library/app", tag, image())
    assert (answer.status_code, error_code(answer)) == (400, "TAG_INVALID")


def test_a_guest_pulls_and_does_not_push(owner: Client, bob: User) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    guest = client_for(bob)
    assert wire.get_manifest(guest, "library/app", "v1").content == pushed.data
    assert error_code(wire.put_manifest(guest, "library/app", "v2", pushed)) == "UNAUTHORIZED"
    assert not Tag.objects.filter(name="v2").exists()


def test_a_manifest_counts_against_the_quota(library: Project) -> None:
    pushed = image()
    room = sum(len(blob.data) for blob in pushed.blobs)
    project = make_project("small", library.owner, quota=room)
    client = client_for(library.owner)
    refused = wire.push(client, "small/app:v1", pushed)
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert not Artifact.objects.exists()
    assert Quota.objects.get(project=project).used == room


def test_equal_manifests_of_a_project_count_once(owner: Client, library: Project) -> None:
    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    used = Quota.objects.get(project=library).used
    wire.push(owner, "library/web:v1", pushed)
    assert Quota.objects.get(project=library).used == used


def test_read_only_mode_refuses_pushes_and_serves_pulls(owner: Client) -> None:
    from projects import params

    pushed = image()
    wire.push(owner, "library/app:v1", pushed)
    params.update({"read_only": True})
    params.forget()
    refused = wire.put_manifest(owner, "library/app", "v2", pushed)
    assert (refused.status_code, error_code(refused)) == (403, "DENIED")
    assert wire.get_manifest(owner, "library/app", "v1").status_code == 200


def test_pulling_costs_few_queries(owner: Client, django_assert_max_num_queries: Any) -> None:
    wire.push(owner, "library/app:v1", image())
    wire.get_manifest(owner, "library/app", "v1")
    with django_assert_max_num_queries(4):
        wire.get_manifest(owner, "library/app", "v1")


def test_an_artifact_without_layers_and_a_chart(owner: Client) -> None:
    config = images.Blob("application/vnd.cncf.helm.config.v1+json", b'{"name": "chart", "version": "1.2.3"}')
    layer = images.Blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    document = {"schemaVersion": 2, "mediaType": images.OCI_MANIFEST}
    chart = manifest_of(document | {"config": config.descriptor, "layers": [layer.descriptor]})
    for blob in (config, layer):
        wire.put_blob(owner, "library/chart", blob.data)
    assert wire.put_manifest(owner, "library/chart", "1.2.3", chart).status_code == 201
    row = Artifact.objects.get()
    assert (row.type, row.extra_attrs) == ("CHART", {"name": "chart", "version": "1.2.3"})
    assert wire.push(owner, "library/app:sbom", artifact()).status_code == 201


@pytest.mark.parametrize(
    "content", [b"[1]", b"{", b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a":' * 40 + b"1" + b"}" * 40]
)
def test_a_strange_configuration_is_kept_and_not_looked_into(owner: Client, content: bytes) -> None:
    config = images.Blob("application/vnd.example.thing.config.v1+json", content)
    wire.put_blob(owner, "library/app", content)
    document = {"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "config": config.descriptor, "layers": []}
    assert wire.put_manifest(owner, "library/app", "v1", manifest_of(document)).status_code == 201
    row = Artifact.objects.get()
    assert (row.type, row.extra_attrs) == ("THING", {})
