"""docker, podman and skopeo over https, with the certificate of `make_cert` and nothing but its CA to trust."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

PASSWORD = "Secret12345"


@pytest.fixture(scope="module")
def secure() -> Iterator[services.Site]:
    """A site of https on an address that no client trusts by itself, as all trust loopback."""
    address = services.own_address()
    with services.harborsite(hostname=address, bind=address, ui_url_protocol="https") as site:
        site.password = PASSWORD
        site.manage("users", "set-password", "admin", "--password", PASSWORD)
        yield site


@pytest.fixture(scope="module")
def etc(secure: services.Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docs/https.md says of a client's machine: the CA below the registry's name."""
    etc = tmp_path_factory.mktemp("etc")
    trusted = etc / "certs.d" / secure.host
    trusted.mkdir(parents=True)
    (trusted / "ca.crt").write_bytes((secure.data / "cert" / "ca.crt").read_bytes())
    return etc


@pytest.fixture
def registry(secure: services.Site) -> Registry:
    trusted = ssl.create_default_context(cafile=str(secure.data / "cert" / "ca.crt"))
    return Registry(secure.host, "admin", PASSWORD, tls=trusted)


def test_docker_pushes_and_pulls(secure: services.Site, etc: Path, home: Path, tmp_path: Path) -> None:
    with services.dockerd(etc) as engine:
        docker = Tool("docker", home, {"DOCKER_HOST": engine})
        docker("login", "-u", "admin", "--password-stdin", secure.host, stdin=PASSWORD)
        name = f"{secure.host}/library/hello-world:latest"
        docker("load", "-i", images.write_docker_archive(tmp_path / "image.tar", images.image("tls"), name))
        digest = docker("push", name).partition("digest: ")[2].split()[0]
        docker("rmi", name)
        docker("pull", name)
        digests = json.loads(docker("inspect", "--format", "{{json .RepoDigests}}", name))
        assert digests == [f"{secure.host}/library/hello-world@{digest}"]


def test_without_the_ca_docker_refuses(secure: services.Site, home: Path, tmp_path: Path) -> None:
    with services.dockerd(tmp_path) as engine:
        docker = Tool("docker", home, {"DOCKER_HOST": engine})
        said = docker.refused("login", "-u", "admin", "--password-stdin", secure.host, stdin=PASSWORD)
    assert "certificate signed by unknown authority" in said


def test_podman_and_skopeo_push_and_pull(
    secure: services.Site, etc: Path, home: Path, registry: Registry, tmp_path: Path
) -> None:
    certs = etc / "certs.d" / secure.host
    env = {"REGISTRY_AUTH_FILE": str(home / "auth.json")}
    store = ("--root", home / "graph", "--runroot", home / "run", "--tmpdir", home / "tmp", "--storage-driver", "vfs")
    podman, skopeo = Tool("podman", home, env, tuple(map(str, store))), Tool("skopeo", home, env)
    podman("login", "--cert-dir", certs, "-u", "admin", "--password-stdin", secure.host, stdin=PASSWORD)
    image = images.image("podman tls", layers=2)
    name = f"{secure.host}/library/podman:1"
    podman("load", "-i", images.write_docker_archive(tmp_path / "image.tar", image, name))
    podman("push", "--cert-dir", certs, name)
    podman("rmi", name)
    podman("pull", "--cert-dir", certs, name)

    place = f"docker://{secure.host}/library/skopeo:1"
    layout = images.write_layout(tmp_path / "layout", image)
    skopeo("copy", "--dest-cert-dir", certs, f"oci:{layout}:latest", place)
    skopeo("copy", "--src-cert-dir", certs, place, f"dir:{tmp_path / 'out'}")
    registry.assert_serves("library/skopeo", "1", image)
    assert "certificate" in skopeo.refused("inspect", place)


def test_every_answer_asks_for_https_from_now_on(secure: services.Site, registry: Registry) -> None:
    """On the short way of pulls, too."""
    registry.push("library/hsts", images.image("hsts"), "1")
    token = {"Authorization": f"Bearer {registry.token('repository:library/hsts:pull')}"}
    for path in ("/api/v2.0/systeminfo", "/v2/", "/v2/library/hsts/tags/list?n=1"):
        answer = registry.expect(200, "GET", path, None, token if "tags" in path else {})
        assert answer.headers["strict-transport-security"] == "max-age=31536000", path


def test_the_token_service_is_named_by_https(secure: services.Site) -> None:
    trusted = ssl.create_default_context(cafile=str(secure.data / "cert" / "ca.crt"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{secure.url}/v2/", context=trusted, timeout=30)
    with refused.value as answer:
        assert f'realm="https://{secure.host}/service/token"' in answer.headers["WWW-Authenticate"]
