"""ORAS: files as artifacts, referrers, blobs."""

import json
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

PLAIN = "--plain-http"


@pytest.fixture
def signed_in(oras: Tool, site: services.Site) -> Tool:
    said = oras("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin=site.password)
    assert "Login Succeeded" in said
    return oras


def test_wrong_password_is_refused(oras: Tool, site: services.Site) -> None:
    said = oras.refused("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin="wrong")
    assert "unauthorized" in said.lower()


def test_files_are_pushed_and_pulled(
    signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("four words of notes\n")
    name = f"{site.host}/{project}/notes:1"
    options = (PLAIN, "--disable-path-validation", "--artifact-type", "application/vnd.example.notes")
    said = json.loads(signed_in("push", *options, "--format", "json", name, f"{notes}:text/plain"))
    answer = registry.manifest(f"{project}/notes", "1")
    assert images.digest_of(answer.body) == said["digest"]
    assert answer.json["artifactType"] == "application/vnd.example.notes"

    signed_in("pull", PLAIN, "--allow-path-traversal", "-o", tmp_path / "out", name)
    assert registry.blob(f"{project}/notes", images.digest_of(notes.read_bytes())) == notes.read_bytes()


def test_an_index_copied_in_keeps_every_digest(
    signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    index = images.index("oras")
    layout = images.write_layout(tmp_path / "in", index, tag="1")
    signed_in("cp", "--from-oci-layout", "--to-plain-http", f"{layout}:1", f"{site.host}/{project}/multi:1")
    registry.assert_serves(f"{project}/multi", "1", index)
    child = signed_in("resolve", PLAIN, "--platform", "linux/arm64", f"{site.host}/{project}/multi:1")
    assert child.rpartition("@")[2] == index.children[1].digest


def test_an_attached_artifact_is_discovered_and_copied_along(
    signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    image = images.image("oras subject")
    registry.push(f"{project}/app", image, "1")
    sbom = tmp_path / "sbom.json"
    sbom.write_text("{}")
    kind = "application/vnd.example.sbom"
    name = f"{site.host}/{project}/app:1"
    signed_in("attach", PLAIN, "--disable-path-validation", "--artifact-type", kind, name, str(sbom))
    found = json.loads(signed_in("discover", PLAIN, "--format", "json", name))
    assert [entry["artifactType"] for entry in found["referrers"]] == [kind]

    there = f"{site.host}/{project}/copy:1"
    signed_in("cp", "-r", "--from-plain-http", "--to-plain-http", name, there)
    copied = json.loads(signed_in("discover", PLAIN, "--format", "json", there))
    assert [entry["digest"] for entry in copied["referrers"]] == [entry["digest"] for entry in found["referrers"]]


def test_several_tags_are_set_and_listed(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    registry.push(f"{project}/app", images.image("oras tags"), "1")
    signed_in("tag", PLAIN, f"{site.host}/{project}/app:1", "stable", "latest")
    said = signed_in("repo", "tags", PLAIN, f"{site.host}/{project}/app")
    assert said.split() == ["1", "latest", "stable"]


def test_manifests_and_blobs_are_deleted(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("oras delete")
    registry.push(f"{project}/app", image, "1")
    name = f"{site.host}/{project}/app"
    signed_in("manifest", "delete", PLAIN, "--force", f"{name}@{image.digest}")
    assert not registry.has(f"{project}/app", "1")
    signed_in("blob", "delete", PLAIN, "--force", f"{name}@{image.blobs[1].digest}")
    assert registry.request("HEAD", f"/v2/{project}/app/blobs/{image.blobs[1].digest}").status == 404
    registry.push(f"{project}/app", image, "1")
    registry.assert_serves(f"{project}/app", "1", image)
