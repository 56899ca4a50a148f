"""Regctl, the regclient tool, with its referrers, tag deletes and chunked uploads."""

import json
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool


@pytest.fixture
def regctl(home: Path, site: services.Site) -> Tool:
    regctl = Tool("regctl", home, {"REGCTL_CONFIG": str(home / "regctl.json")})
    regctl("registry", "set", "--skip-check", "--tls", "disabled", site.host)
    regctl("registry", "login", "-u", "admin", "--pass-stdin", site.host, stdin=site.password)
    return regctl


def test_wrong_password_is_refused(regctl: Tool, site: services.Site) -> None:
    said = regctl.refused("registry", "login", "-u", "admin", "--pass-stdin", site.host, stdin="wrong")
    assert "unauthorized" in said


def test_an_index_copied_in_and_out_keeps_every_digest(
    regctl: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    index = images.index("regctl")
    layout = images.write_layout(tmp_path / "in", index, tag="1")
    name = f"{site.host}/{project}/multi:1"
    regctl("image", "copy", f"ocidir://{layout}:1", name)
    registry.assert_serves(f"{project}/multi", "1", index)
    assert regctl("image", "digest", name) == index.digest

    regctl("image", "copy", name, f"ocidir://{tmp_path / 'out'}:1")
    assert regctl("image", "digest", f"ocidir://{tmp_path / 'out'}:1") == index.digest


def test_a_large_layer_goes_up_in_chunks(
    regctl: Tool, site: services.Site, project: str, registry: Registry, tmp_path: Path
) -> None:
    regctl("registry", "set", "--skip-check", "--blob-chunk", "65536", "--blob-max", "65536", site.host)
    image = images.image("chunks", layer_size=1_000_000)
    layout = images.write_layout(tmp_path / "in", image, tag="1")
    regctl("image", "copy", f"ocidir://{layout}:1", f"{site.host}/{project}/big:1")
    registry.assert_serves(f"{project}/big", "1", image)


def test_referrers_are_found_by_subject_and_type(
    regctl: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    name = f"{site.host}/{project}/app:1"
    registry.push(f"{project}/app", images.image("subject"), "1")
    for kind in ("sbom", "signature"):
        options = ("--artifact-type", f"application/vnd.example.{kind}", "--subject", name)
        regctl("artifact", "put", *options, stdin=kind)
    found = json.loads(regctl("artifact", "list", "--format", "{{json .Descriptors}}", name))
    assert {entry["artifactType"] for entry in found} == {
        "application/vnd.example.sbom",
        "application/vnd.example.signature",
    }
    kind = "application/vnd.example.sbom"
    only = regctl("artifact", "list", "--filter-artifact-type", kind, "--format", "{{json .Descriptors}}", name)
    assert [entry["artifactType"] for entry in json.loads(only)] == [kind]


def test_tags_are_listed_and_deleted_one_by_one(
    regctl: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("regctl tags")
    for tag in ("1", "2"):
        registry.push(f"{project}/app", image, tag)
    name = f"{site.host}/{project}/app"
    regctl("tag", "delete", f"{name}:2")
    assert regctl("tag", "ls", name).split() == ["1"]
    registry.assert_serves(f"{project}/app", "1", image)


def test_a_deleted_manifest_is_gone_and_can_be_pushed_again(
    regctl: Tool, site: services.Site, project: str, registry: Registry
) -> None:
    image = images.image("regctl delete")
    registry.push(f"{project}/app", image, "1")
    regctl("manifest", "delete", f"{site.host}/{project}/app@{image.digest}")
    assert not registry.has(f"{project}/app", "1")
    registry.push(f"{project}/app", image, "1")
    assert regctl("image", "digest", f"{site.host}/{project}/app:1") == image.digest
