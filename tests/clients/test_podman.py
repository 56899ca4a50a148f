"""Podman, with a store of its own and nothing of the machine's set-up."""

import json
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

PLAIN = "--tls-verify=false"


@pytest.fixture
def podman(home: Path, site: services.Site) -> Tool:
    """A signed-in Podman that needs no cgroup manager, journal or overlay mount."""
    options = (
        *("--root", str(home / "graph"), "--runroot", str(home / "run"), "--tmpdir", str(home / "tmp")),
        *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"),
    )
    podman = Tool("podman", home, {"REGISTRY_AUTH_FILE": str(home / "auth.json")}, options)
    said = podman("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin=site.password)
    assert "Login Succeeded" in said
    return podman


def test_wrong_password_is_refused(podman: Tool, site: services.Site) -> None:
    said = podman.refused("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin="wrong")
    assert "invalid username/password" in said


@pytest.mark.parametrize("layout", ["oci", "v2s2"])
def test_a_pulled_image_has_the_pushed_digest(
    layout: str, podman: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/{layout}:1"
    archive = images.write_docker_archive(tmp_path / "image.tar", images.image("podman", layers=2), name)
    podman("load", "-i", archive)
    digest_file = tmp_path / "digest"
    podman("push", PLAIN, "--format", layout, "--digestfile", digest_file, name)
    digest = digest_file.read_text()
    answer = registry.manifest(f"{project}/{layout}", "1")
    assert images.digest_of(answer.body) == digest
    expected = images.OCI_MANIFEST if layout == "oci" else images.DOCKER_MANIFEST
    assert answer.headers["content-type"] == expected

    podman("rmi", name)
    podman("pull", PLAIN, name)
    assert podman("image", "inspect", "--format", "{{.Digest}}", name) == digest
    podman("pull", PLAIN, f"{site.host}/{project}/{layout}@{digest}")


def test_pushing_again_moves_the_tag(
    podman: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/app:latest"
    digests = []
    for text in ("first", "second"):
        podman("load", "-i", images.write_docker_archive(tmp_path / f"{text}.tar", images.image(text), name))
        podman("push", PLAIN, "--digestfile", tmp_path / text, name)
        digests.append((tmp_path / text).read_text())
    assert digests[0] != digests[1]
    assert images.digest_of(registry.manifest(f"{project}/app", "latest").body) == digests[1]
    assert registry.has(f"{project}/app", digests[0])


def test_a_multi_architecture_manifest_is_pushed_and_pulled_by_platform(
    podman: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/multi:1"
    podman("manifest", "create", "local-list")
    for architecture in ("amd64", "arm64"):
        image = images.image("podman multi", architecture=architecture)
        layout = images.write_layout(tmp_path / architecture, image)
        podman("manifest", "add", "local-list", f"oci:{layout}:latest")
    podman("manifest", "push", "--all", PLAIN, "local-list", f"docker://{name}")
    entries = registry.manifest(f"{project}/multi", "1").json["manifests"]
    assert {entry["platform"]["architecture"] for entry in entries} == {"amd64", "arm64"}

    podman("pull", PLAIN, "--arch", "arm64", name)
    assert json.loads(podman("image", "inspect", name))[0]["Architecture"] == "arm64"


def test_search_of_tags_lists_them(podman: Tool, site: services.Site, project: str, registry: Registry) -> None:
    for tag in ("1", "2"):
        registry.push(f"{project}/app", images.image(tag), tag)
    said = podman("search", PLAIN, "--list-tags", f"{site.host}/{project}/app")
    assert [line.split()[-1] for line in said.splitlines()] == ["TAG", "1", "2"]
