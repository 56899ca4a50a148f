"""Crane, the go-containerregistry client: it takes plain http for loopback by itself."""

import json
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool


@pytest.fixture
def signed_in(crane: Tool, site: services.Site) -> Tool:
    crane("auth", "login", site.host, "-u", "admin", "--password-stdin", stdin=site.password)
    return crane


def test_an_image_and_an_index_come_back_as_pushed(
    signed_in: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    for kind, made in (("image", images.image("crane", layers=2)), ("index", images.index("crane"))):
        name = f"{site.host}/{project}/{kind}:1"
        layout = images.write_layout(tmp_path / kind, made)
        options = ("--index",) if kind == "index" else ()
        signed_in("push", *options, layout, name)
        assert signed_in("digest", name) == images.digest_of(registry.manifest(f"{project}/{kind}", "1").body)
        signed_in("pull", "--format", "oci", name, tmp_path / f"{kind}-out")
        signed_in("validate", "--remote", name)


def test_a_copied_index_keeps_every_digest(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    index = images.index("crane copy")
    registry.push(f"{project}/one", index, "1")
    signed_in("copy", f"{site.host}/{project}/one:1", f"{site.host}/{project}/two:1")
    registry.assert_serves(f"{project}/two", "1", index)
    platform = signed_in("digest", "--platform", "linux/arm64", f"{site.host}/{project}/two:1")
    assert platform == index.children[1].digest


def test_tags_are_listed_in_order(signed_in: Tool, site: services.Site, project: str, registry: Registry) -> None:
    for tag in ("b", "a"):
        registry.push(f"{project}/app", images.image(tag), tag)
    assert signed_in("ls", f"{site.host}/{project}/app").split() == ["a", "b"]


def test_a_tag_is_added_and_deleted_with_its_image_kept(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("crane tag")
    name = f"{site.host}/{project}/app"
    registry.push(f"{project}/app", image, "1")
    signed_in("tag", f"{name}:1", "2")
    assert registry.tags(f"{project}/app") == ["1", "2"]
    signed_in("delete", f"{name}:2")
    assert registry.tags(f"{project}/app") == ["1"]
    registry.assert_serves(f"{project}/app", "1", image)
    signed_in("delete", f"{name}@{image.digest}")
    assert not registry.has(f"{project}/app", image.digest)


def test_a_flattened_image_is_pushed_in_pieces(
    signed_in: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    registry.push(f"{project}/app", images.image("flatten", layers=4, layer_size=50_000), "1")
    signed_in("flatten", f"{site.host}/{project}/app:1", "-t", f"{site.host}/{project}/app:flat")
    manifest = json.loads(signed_in("manifest", f"{site.host}/{project}/app:flat"))
    assert len(manifest["layers"]) == 1
