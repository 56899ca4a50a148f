"""A node with all five parts over https: nginx alone is open, and each part may die in the middle of a transfer."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harborsite.server.processes import descendants
from tests import images, services, slapd
from tests.clients.registry import Registry, location
from tests.clients.tools import Tool

PASSWORD = "Secret12345"
PARTS = {"nginx": "nginx: master", "mariadb": "mariadbd", "rsyslog": "rsyslogd", "product": "--without-parts"}
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def directory() -> Iterator[slapd.Slapd]:
    with slapd.slapd() as directory:
        yield directory


@pytest.fixture(scope="module")
def node(directory: slapd.Slapd) -> Iterator[services.Site]:
    """The installation of the guide: https, LDAP, and all five parts."""
    address = services.own_address()
    database = {"HARBOR_DATABASE": "mariadb", "HARBOR_DB_PASSWORD": "it's \\ odd"}
    settings = {"hostname": address, "bind": address, "ui_url_protocol": "https", "log_format": "json"}
    people = {
        "auth_mode": "ldap_auth",
        "allowed_networks": "127.0.0.0/8",
        "ldap_url": directory.url,
        "ldap_searchdn": slapd.SEARCH_DN,
        "ldap_search_pwd": slapd.SEARCH_PASSWORD,
        "ldap_basedn": slapd.PEOPLE,
        "ldap_uid": "uid",
        "ldap_group_basedn": slapd.GROUPS,
    }
    with services.harborsite(database, with_proxy="on", **settings, **people) as site:
        site.manage("users", "set-password", "admin", "--password", PASSWORD)
        yield site


@pytest.fixture
def trusted(node: services.Site) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(node.data / "cert" / "ca.crt"))


@pytest.fixture
def registry(node: services.Site, trusted: ssl.SSLContext) -> Registry:
    return Registry(node.host, "admin", PASSWORD, tls=trusted)


@pytest.fixture
def skopeo(node: services.Site, home: Path) -> Tool:
    certs = home / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes((node.data / "cert" / "ca.crt").read_bytes())
    skopeo = Tool("skopeo", home, {"REGISTRY_AUTH_FILE": str(home / "auth.json")})
    skopeo("login", "--cert-dir", certs, "-u", "admin", "--password-stdin", node.host, stdin=PASSWORD)
    return skopeo


def processes(node: services.Site) -> dict[int, str]:
    found = {}
    for pid in descendants(node.server.process.pid):
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except FileNotFoundError:
            continue
    return found


def kill(node: services.Site, part: str) -> None:
    """As a power cut would, with all below it."""
    first = next(pid for pid, command in processes(node).items() if PARTS[part] in command)
    for pid in (first, *descendants(first)):
        os.kill(pid, signal.SIGKILL)


def back(node: services.Site) -> None:
    node.server.wait_until(lambda: node.healthy() and all(is_running(node, part) for part in PARTS))


def is_running(node: services.Site, part: str) -> bool:
    return any(PARTS[part] in command for command in processes(node).values())


def test_a_developer_of_the_directory_signs_in_pushes_and_pulls(
    node: services.Site, home: Path, tmp_path: Path, registry: Registry
) -> None:
    """Docker, through nginx, over https, as somebody whose group in LDAP is a developer of the project."""
    registry.create_project("team")
    group = {"group_name": "developers", "group_type": 1, "ldap_group_dn": slapd.DEVELOPERS}
    member = json.dumps({"role_id": 2, "member_group": group}).encode()
    headers = {"Content-Type": "application/json"}
    registry.expect(201, "POST", "/api/v2.0/projects/team/members", member, headers)
    etc = tmp_path / "etc"
    (etc / "certs.d" / node.host).mkdir(parents=True)
    (etc / "certs.d" / node.host / "ca.crt").write_bytes((node.data / "cert" / "ca.crt").read_bytes())
    name = f"{node.host}/team/hello-world:latest"
    with services.dockerd(etc) as engine:
        docker = Tool("docker", home, {"DOCKER_HOST": engine})
        docker("login", "-u", "lena", "--password-stdin", node.host, stdin=slapd.PASSWORD)
        image = images.image("proxy", layers=2, layer_size=3_000_000)
        docker("load", "-i", images.write_docker_archive(tmp_path / "image.tar", image, name))
        digest = docker("push", name).partition("digest: ")[2].split()[0]
        docker("rmi", name)
        docker("pull", name)
        docker("tag", name, f"{node.host}/library/hello-world:latest")
        assert "unauthorized to access repository" in docker.refused("push", f"{node.host}/library/hello-world:latest")
        docker("login", "-u", "wei", "--password-stdin", node.host, stdin=slapd.PASSWORD)
        docker("rmi", name)
        assert "unauthorized to access repository" in docker.refused("pull", name)  # of no group that is a member
    assert images.digest_of(registry.manifest("team/hello-world", "latest").body) == digest


def test_nothing_but_the_proxy_is_open(node: services.Site) -> None:
    """The database, the collector and the web processes have sockets that only the owner reaches."""
    listening = subprocess.run(["ss", "-Hltnp"], stdout=subprocess.PIPE, text=True, check=True).stdout
    ours = {str(pid) for pid in processes(node)}
    lines = [line for line in listening.splitlines() if any(f"pid={pid}," in line for pid in ours)]
    assert [line.split()[3] for line in lines] == [node.host]
    assert (node.data / "run").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("wanted", ["", "bytes=5-99999", "bytes=-100000", "bytes=70000-"])
def test_blobs_come_from_the_proxy_as_the_application_would_send_them(registry: Registry, wanted: str) -> None:
    data = os.urandom(200_000)
    digest = registry.push_blob("library/accel", data)
    path = f"/v2/library/accel/blobs/{digest}"
    whole = registry.expect(200, "HEAD", path)
    for headers in ({}, {"Authorization": f"Bearer {registry.token('repository:library/accel:pull')}"}):
        answer = registry.request("GET", path, None, headers | ({"Range": wanted} if wanted else {}))
        assert (answer.status, len(wanted) > 0) in {(200, False), (206, True)}
        part = {"": data, "bytes=5-99999": data[5:100_000], "bytes=-100000": data[-100_000:]}.get(wanted, data[70_000:])
        assert answer.body == part
        assert answer.headers["content-length"] == str(len(part))
        assert "x-accel-redirect" not in answer.headers
        for name in (
            *("docker-content-digest", "etag", "content-type", "docker-distribution-api-version", "accept-ranges"),
            *("strict-transport-security", "x-content-type-options", "referrer-policy", "cross-origin-opener-policy"),
        ):
            assert answer.headers[name] == whole.headers[name], name
        assert answer.headers["x-request-id"]


def test_blobs_are_nobodys_without_the_applications_word(registry: Registry) -> None:
    digest = registry.push_blob("library/hidden", os.urandom(100_000)).removeprefix("sha256:")
    for path in (f"/.blobs/blobs/sha256/{digest[:2]}/{digest}/data", "/.blobs/../run/nginx.conf", "/.blobs../run/"):
        assert registry.request("GET", path).status in {400, 404}, path


def began_to_push(registry: Registry, upload: str, data: bytes) -> http.client.HTTPConnection:
    """Send the first half of a body."""
    connection = registry.connect()
    connection.putrequest("PATCH", upload)
    for name, value in {**registry.authorization, **OCTETS, "Content-Length": str(len(data))}.items():
        connection.putheader(name, value)
    connection.endheaders(data[: len(data) // 2])
    return connection


def receivers(node: services.Site, upload: str, least: int) -> Iterator[int]:
    """The web worker that receives this upload, once it has written that much of it."""
    name = urlsplit(upload).path.rstrip("/").rpartition("/")[2]
    for pid in processes(node):
        with suppress(FileNotFoundError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                if name in os.readlink(file) and file.stat().st_size >= least:
                    yield pid


def once_received(node: services.Site, upload: str, least: int) -> int:
    found: list[int] = []

    def is_there() -> bool:
        found.extend(receivers(node, upload, least))
        return bool(found)

    node.server.wait_until(is_there, seconds=60)
    return found[0]


def test_an_upload_of_any_size_is_passed_on_as_it_comes(node: services.Site, registry: Registry) -> None:
    """Nothing is kept by the proxy: what has been sent is in the store before the request ends."""
    upload = registry.start_upload("library/large")
    connection = began_to_push(registry, upload, b"x" * 20_000_000)
    once_received(node, upload, 9_000_000)
    connection.send(b"x" * 10_000_000)
    assert connection.getresponse().status == 202
    connection.close()


def test_who_asks_and_how_is_what_the_proxy_saw(node: services.Site, registry: Registry) -> None:
    """The default password works from this machine alone, and nobody can claim to be it."""
    claims = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "X-Forwarded-Proto": "http"}
    node.manage("users", "set-password", "admin", "--password", services.Site.password)
    forged = Registry(node.host, "admin", services.Site.password, tls=registry.tls)
    assert b"default password" in forged.expect(401, "GET", "/service/token", None, claims).body
    node.manage("users", "set-password", "admin", "--password", PASSWORD)
    answer = Registry(node.host, tls=registry.tls).request("GET", "/v2/", None, claims)
    assert f'realm="https://{node.host}/' in answer.headers["www-authenticate"]
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize("part", list(PARTS))
def test_a_part_that_dies_in_the_middle_loses_nothing(
    part: str, node: services.Site, registry: Registry, skopeo: Tool, home: Path, tmp_path: Path
) -> None:
    """A push and a pull are under way; the part comes back by itself, and the clients' retries succeed."""
    image = images.image(f"killed {part}", layers=2, layer_size=8_000_000)
    kept = images.image(f"kept {part}", layer_size=2_000_000)
    registry.push("library/kept", kept, part)
    data = image.blobs[1].data
    upload, pull = registry.start_upload("library/killed"), registry.connect()
    push = began_to_push(registry, upload, data)
    pull.request("GET", f"/v2/library/kept/blobs/{kept.blobs[1].digest}", headers=registry.authorization)
    once_received(node, upload, len(data) // 4)
    kill(node, part)
    for connection in (push, pull):
        connection.close()
    back(node)
    succeed_again(skopeo, f"{node.host}/library/killed:{part}", image, home / "certs", tmp_path)
    registry.assert_serves("library/killed", part, image)
    registry.assert_serves("library/kept", part, kept)


def succeed_again(skopeo: Tool, name: str, image: images.Manifest, certs: Path, tmp_path: Path) -> None:
    """Push and pull as a client does that tries once more."""
    layout = images.write_layout(tmp_path / "in", image)
    skopeo("copy", "--dest-cert-dir", certs, f"oci:{layout}:latest", f"docker://{name}")
    skopeo("copy", "--src-cert-dir", certs, f"docker://{name}", f"dir:{tmp_path / 'out'}")


def test_a_web_worker_that_dies_in_the_middle_loses_nothing(
    node: services.Site, registry: Registry, skopeo: Tool, home: Path, tmp_path: Path
) -> None:
    """One of two: the pull is nginx's by then and runs to its end, and the push goes on where its bytes ended."""
    image = images.image("killed worker", layers=2, layer_size=8_000_000)
    data = image.blobs[1].data
    kept = os.urandom(30_000_000)
    pull = registry.connect()
    path = f"/v2/library/worker/blobs/{registry.push_blob('library/worker', kept)}"
    pull.request("GET", path, headers=registry.authorization)
    pulled = pull.getresponse()
    first = pulled.read(100_000)
    upload = registry.start_upload("library/worker")
    push = began_to_push(registry, upload, data)
    worker = once_received(node, upload, len(data) // 4)
    supervisor = next(pid for pid in processes(node) if worker in children(pid))
    before = children(supervisor)
    assert len(before) > 1
    os.kill(worker, signal.SIGKILL)
    node.server.wait_until(lambda: worker not in children(supervisor))
    assert first + pulled.read() == kept
    with suppress(OSError, http.client.HTTPException):  # nginx says that nobody is there, or closes
        push.send(data[len(data) // 2 :])
        with push.getresponse() as refused:
            assert refused.status == 503
    for connection in (push, pull):
        connection.close()

    there = int(registry.expect(204, "GET", upload).headers["range"].partition("-")[2]) + 1
    assert len(data) // 4 <= there <= len(data) // 2
    rest = OCTETS | {"Content-Range": f"{there}-{len(data) - 1}"}
    resumed = location(registry.expect(202, "PATCH", upload, data[there:], rest))
    registry.expect(201, "PUT", registry.closing(resumed, data), b"")
    assert registry.blob("library/worker", images.digest_of(data)) == data
    succeed_again(skopeo, f"{node.host}/library/worker:again", image, home / "certs", tmp_path)
    registry.assert_serves("library/worker", "again", image)
    node.server.wait_until(lambda: len(children(supervisor)) == len(before))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_logs_of_all_parts_are_in_one_place(node: services.Site, registry: Registry) -> None:
    registry.expect(200, "GET", "/api/v2.0/systeminfo", None, {"X-Request-Id": "seen-by-all"})
    log = node.data / "log"
    expected = {"nginx": "request_id=seen-by-all", "web": '"message": ', "jobs": '"message": ', "server": '"role": '}
    for name, text in (expected | {"mariadb": "ready for connections"}).items():
        deadline = time.monotonic() + 10
        while text not in (log / f"{name}.log").read_text():
            assert time.monotonic() < deadline, name
            time.sleep(0.05)
    assert PASSWORD not in "".join(file.read_text() for file in log.iterdir())


def test_no_part_outlives_the_server(node: services.Site, trusted: ssl.SSLContext) -> None:
    before = processes(node)
    node.server.stop(seconds=11)
    left = [command for pid, command in before.items() if Path(f"/proc/{pid}/cmdline").exists()]
    assert left == []
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPSConnection(node.host, context=trusted, timeout=5).request("GET", "/")
