"""Skopeo: copy, inspect, list and delete without a local store."""

import json
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

PLAIN = "--tls-verify=false"
TO_PLAIN = "--dest-tls-verify=false"
FROM_PLAIN = "--src-tls-verify=false"


@pytest.fixture
def signed_in(skopeo: Tool, site: services.Site) -> Tool:
    said = skopeo("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin=site.password)
    assert "Login Succeeded" in said
    return skopeo


def test_wrong_password_is_refused(skopeo: Tool, site: services.Site) -> None:
    said = skopeo.refused("login", PLAIN, "-u", "admin", "--password-stdin", site.host, stdin="wrong")
    assert "invalid username/password" in said


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_an_index_copied_out_and_in_keeps_every_digest(
    docker: bool, signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    index = images.index("skopeo", docker=docker)
    registry.push(f"{project}/one", index, "1")
    here = f"dir:{tmp_path / 'out'}"
    options = ("copy", "--all", "--preserve-digests")
    signed_in(*options, FROM_PLAIN, f"docker://{site.host}/{project}/one:1", here)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == index.data

    signed_in(*options, TO_PLAIN, here, f"docker://{site.host}/{project}/two:1")
    registry.assert_serves(f"{project}/two", "1", index)


def test_copying_between_repositories_of_the_server_keeps_the_digest(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("between", layers=2, layer_size=100_000)
    registry.push(f"{project}/one", image, "1")
    places = (f"docker://{site.host}/{project}/one:1", f"docker://{site.host}/{project}/two:1")
    signed_in("copy", FROM_PLAIN, TO_PLAIN, *places)
    registry.assert_serves(f"{project}/two", "1", image)


def test_tags_are_listed_and_images_inspected(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("inspect", annotations={"org.example": "yes"})
    registry.push(f"{project}/app", image, "1")
    place = f"docker://{site.host}/{project}/app"
    assert json.loads(signed_in("list-tags", PLAIN, place))["Tags"] == ["1"]
    found = json.loads(signed_in("inspect", PLAIN, f"{place}:1"))
    assert found["Digest"] == image.digest
    assert found["Architecture"] == "amd64"


def test_a_deleted_image_is_gone_and_can_be_pushed_again(
    signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    image = images.image("delete")
    layout = images.write_layout(tmp_path / "in", image)
    place = f"docker://{site.host}/{project}/app:1"
    signed_in("copy", TO_PLAIN, f"oci:{layout}:latest", place)
    signed_in("delete", PLAIN, place)
    assert not registry.has(f"{project}/app", "1")
    assert not registry.has(f"{project}/app", image.digest)

    signed_in("copy", TO_PLAIN, f"oci:{layout}:latest", place)
    registry.assert_serves(f"{project}/app", "1", image)
