"""The Docker client with a Docker engine of its own, which imports images and runs none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with services.dockerd() as host:
        yield host


@pytest.fixture
def docker(engine: str, home: Path, site: services.Site) -> Tool:
    """A signed-in Docker client."""
    docker = Tool("docker", home, {"DOCKER_HOST": engine})
    said = docker("login", "-u", "admin", "--password-stdin", site.host, stdin=site.password)
    assert "Login Succeeded" in said
    return docker


def load(docker: Tool, directory: Path, image: images.Manifest, *names: str) -> None:
    docker("load", "-i", images.write_docker_archive(directory / "image.tar", image, *names))


def push(docker: Tool, name: str) -> str:
    """Push and return the digest that the client prints."""
    said = docker("push", name)
    return said.partition("digest: ")[2].split()[0]


def pulled_digest(docker: Tool, name: str) -> str:
    repository = name.rpartition(":")[0]
    digests: list[str] = json.loads(docker("inspect", "--format", "{{json .RepoDigests}}", name))
    return next(digest.rpartition("@")[2] for digest in digests if digest.startswith(f"{repository}@"))


def test_wrong_password_is_refused(engine: str, home: Path, site: services.Site) -> None:
    docker = Tool("docker", home, {"DOCKER_HOST": engine})
    said = docker.refused("login", "-u", "admin", "--password-stdin", site.host, stdin="wrong")
    assert "unauthorized" in said.lower()


def test_the_guides_lines_work_to_the_letter(
    docker: Tool, site: services.Site, registry: Registry, tmp_path: Path
) -> None:
    """`docker tag hello-world SERVER/hello-world` names no project: it goes to `library`."""
    load(docker, tmp_path, images.image("guide"), "hello-world:latest")
    docker("tag", "hello-world", f"{site.host}/hello-world:latest")
    digest = push(docker, f"{site.host}/hello-world:latest")
    assert images.digest_of(registry.manifest("library/hello-world", "latest").body) == digest

    docker("rmi", f"{site.host}/hello-world:latest", "hello-world")
    docker("pull", f"{site.host}/hello-world:latest")
    assert pulled_digest(docker, f"{site.host}/hello-world:latest") == digest
    docker("pull", f"{site.host}/library/hello-world:latest")
    assert pulled_digest(docker, f"{site.host}/library/hello-world:latest") == digest


def test_a_pulled_image_has_the_pushed_digest(
    docker: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/team/app:1.0"
    load(docker, tmp_path, images.image("docker", layers=3, layer_size=200_000), name)
    digest = push(docker, name)
    assert images.digest_of(registry.manifest(f"{project}/team/app", "1.0").body) == digest
    identity = docker("inspect", "--format", "{{.Id}}", name)

    docker("rmi", name)
    docker("pull", name)
    assert pulled_digest(docker, name) == digest
    assert docker("inspect", "--format", "{{.Id}}", name) == identity
    assert "up to date" in docker("pull", f"{site.host}/{project}/team/app@{digest}")


def test_pushing_again_moves_the_tag(
    docker: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/app:latest"
    load(docker, tmp_path, images.image("first"), name)
    first = push(docker, name)
    assert push(docker, name) == first

    load(docker, tmp_path, images.image("second"), name)
    second = push(docker, name)
    assert second != first
    assert images.digest_of(registry.manifest(f"{project}/app", "latest").body) == second
    assert registry.has(f"{project}/app", first)


def test_a_layer_is_mounted_from_another_repository(
    docker: Tool, site: services.Site, project: str, tmp_path: Path
) -> None:
    one, two = f"{site.host}/{project}/one:1", f"{site.host}/{project}/two:1"
    load(docker, tmp_path, images.image("mount", layers=2, layer_size=100_000), one)
    docker("tag", one, two)
    digest = push(docker, one)
    said = docker("push", two)
    assert f"Mounted from {project}/one" in said
    assert digest in said


def test_a_multi_architecture_index_is_pulled_by_platform(
    docker: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    index = images.index("docker multi", docker=True)
    registry.push(f"{project}/multi", index, "1")
    name = f"{site.host}/{project}/multi:1"
    for architecture in ("arm64", "amd64"):
        docker("pull", "--platform", f"linux/{architecture}", name)
        assert docker("inspect", "--format", "{{.Architecture}}", name) == architecture
        assert pulled_digest(docker, name) == index.digest
        docker("rmi", name)


def test_docker_manifest_pushes_a_list(
    docker: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/list"
    for architecture in ("amd64", "arm64"):
        load(docker, tmp_path, images.image("list", architecture=architecture), f"{name}:{architecture}")
        push(docker, f"{name}:{architecture}")
    docker("manifest", "create", "--insecure", f"{name}:all", f"{name}:amd64", f"{name}:arm64")
    digest = docker("manifest", "push", "--insecure", f"{name}:all")
    answer = registry.manifest(f"{project}/list", "all")
    assert images.digest_of(answer.body) == digest
    assert {entry["platform"]["architecture"] for entry in answer.json["manifests"]} == {"amd64", "arm64"}


def test_after_logout_a_private_image_cannot_be_pulled(
    docker: Tool, site: services.Site, project: str, tmp_path: Path
) -> None:
    name = f"{site.host}/{project}/secret:1"
    load(docker, tmp_path, images.image("secret"), name)
    push(docker, name)
    docker("rmi", name)
    docker("logout", site.host)
    said = docker.refused("pull", name)
    assert "unauthorized" in said or "denied" in said
