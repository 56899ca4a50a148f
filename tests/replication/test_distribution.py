"""Reading from one registry and writing to another, with two of Debian's docker-registry."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harborsite.config import current
from harborsite.outbound import OutboundError, Reader
from registry.oci.digest import Digest
from registry.oci.manifest import Descriptor, parse
from replication.adapters.base import Content, Options, RawManifest, connect
from replication.adapters.distribution import Distribution
from replication.errors import RemoteError
from replication.filters import Filters
from replication.models import Registry
from tests import images
from tests.services import docker_registry, free_port
from tests.test_outbound import LOOPBACK, allow

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    with docker_registry() as source, docker_registry() as target:
        yield source, target


@pytest.fixture
def pair(hosts: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Distribution, Distribution]]:
    allow(monkeypatch, *LOOPBACK)
    source, target = (connect(at(host), Options(chunk_bytes=5 * MIB)) for host in hosts)
    target.writes = True
    with source, target:
        yield source, target


def at(host: str) -> Registry:
    return Registry(name=host, type="docker-registry", url=f"http://{host}")


def bytes_of(data: bytes) -> Content:
    @contextmanager
    def opened(start: int) -> Iterator[Reader]:
        yield io.BytesIO(data[start:])

    return opened


def described(media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))


def put(registry: Distribution, repository: str, tag: str, image: images.Manifest) -> None:
    for manifest in image.walk():
        for blob in manifest.blobs:
            registry.push_blob(repository, described(blob.media_type, blob.data), bytes_of(blob.data), {})
        tags = (tag,) if manifest is image else ()
        raw = RawManifest(manifest.data, manifest.media_type, Digest.parse(manifest.digest))
        registry.push_manifest(repository, raw, tags)


def copy(source: Distribution, target: Distribution, repository: str, reference: str, tags: tuple[str, ...]) -> None:
    found = source.manifest(repository, reference)
    assert found is not None
    manifest = parse(found.raw, found.media_type)
    for child in manifest.children:
        copy(source, target, repository, str(child.digest), ())
    for blob in manifest.blobs:
        if not target.has_blob(repository, blob.digest):
            target.push_blob(repository, blob, source.blob(repository, blob.digest), {})
    target.push_manifest(repository, found, tags)


def test_an_index_arrives_with_the_digest_that_it_had(pair: tuple[Distribution, Distribution]) -> None:
    source, target = pair
    image = images.index("copied")
    put(source, "team/app", "v1", image)
    copy(source, target, "team/app", "v1", ("v1", "latest"))
    for reference in ("v1", "latest", image.digest):
        assert str(target.digest_of("team/app", reference)) == image.digest
    assert target.digest_of("team/app", "v2") is None


def test_a_policy_names_repositories_and_tags(pair: tuple[Distribution, Distribution]) -> None:
    source, _target = pair
    for repository, tag in (("ours/a", "1.0"), ("ours/a", "2.0"), ("ours/b/c", "1.1"), ("theirs/a", "1.0")):
        put(source, repository, tag, images.image(f"{repository} {tag}"))
    meant = Filters([{"type": "name", "value": "ours/**"}, {"type": "tag", "value": "1.*"}])
    listed = {each.name: [artifact.tags for artifact in each.artifacts] for each in source.listings(meant)}
    assert listed == {"ours/a": [("1.0",)], "ours/b/c": [("1.1",)]}
    assert [each.name for each in source.listings(Filters([{"type": "name", "value": "ours/a"}]))] == ["ours/a"]


def test_a_blob_that_the_target_holds_elsewhere_is_mounted(pair: tuple[Distribution, Distribution]) -> None:
    _source, target = pair
    data = b"shared" * 1000
    blob = described(images.OCI_LAYER, data)
    assert target.push_blob("one/app", blob, bytes_of(data), {}) == len(data)
    target.mount_from({str(blob.digest): "one/app"})
    assert target.push_blob("two/app", blob, bytes_of(data), {}) == 0
    assert target.has_blob("two/app", blob.digest)


def test_a_broken_transfer_goes_on_where_it_stopped(pair: tuple[Distribution, Distribution]) -> None:
    """Two chunks arrive, then the source breaks; the next try sends the rest alone."""
    source, target = pair
    data = images.incompressible("large", 12 * MIB)
    blob = described(images.OCI_LAYER, data)
    source.push_blob("large/app", blob, bytes_of(data), {})
    asked: list[int] = []

    @contextmanager
    def breaking(start: int) -> Iterator[Reader]:
        asked.append(start)
        if start >= 10 * MIB:
            raise OutboundError("the source went away")
        with source.blob("large/app", blob.digest)(start) as stream:
            yield stream

    uploads: dict[str, str] = {}
    with pytest.raises(OutboundError, match="went away"):
        target.push_blob("large/app", blob, breaking, uploads)
    assert asked == [0, 5 * MIB, 10 * MIB]
    assert not target.has_blob("large/app", blob.digest)
    assert target.push_blob("large/app", blob, source.blob("large/app", blob.digest), uploads) == 2 * MIB
    assert target.has_blob("large/app", blob.digest)
    assert uploads == {}


def test_a_refusal_says_what_the_registry_said(pair: tuple[Distribution, Distribution]) -> None:
    source, _target = pair
    missing = Digest.of(b"never pushed")
    with pytest.raises(RemoteError, match="answered with 404") as refused, source.blob("team/app", missing)(0):
        pass
    assert not refused.value.is_temporary


def test_a_registry_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, *LOOPBACK)
    with connect(at(f"127.0.0.1:{free_port()}")) as nobody, pytest.raises(OutboundError):
        nobody.check()


def test_loopback_must_be_named_in_the_configuration(monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, str]) -> None:
    allow(monkeypatch, *current().allowed_networks)
    with connect(at(hosts[0])) as registry, pytest.raises(OutboundError, match="allowed_networks"):
        registry.check()
