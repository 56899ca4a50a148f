"""What a registry must survive: sudden death, crowds, slow readers and a full disk."""

import http.client
import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests import images, services
from tests.clients.registry import Answer, Registry, location

CROWD = 64
OCTETS = "application/octet-stream"
# What runs at night for uploads that nobody has written to for a day.
CLEAN_UP = (
    "from datetime import timedelta; from registry.services import uploads; uploads.clean_up(older_than=timedelta())"
)
Hanging = http.client.HTTPConnection | None  # a request that was not sent to its end


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def victim(request: pytest.FixtureRequest) -> Iterator[services.Site]:
    """A site that tests may kill, on either database."""
    with ExitStack() as stack:
        database = {"HARBOR_DATABASE": "sqlite"}
        if request.param == "mariadb":
            database = stack.enter_context(stack.enter_context(services.mariadb()).database())
        yield stack.enter_context(services.harborsite(database))


@pytest.fixture
def registry(victim: services.Site) -> Registry:
    return Registry(victim.host, "admin", victim.password)


def new_project(registry: Registry) -> str:
    name = f"p{random.randrange(10**9)}"
    registry.create_project(name)
    return name


# --- sudden death -----------------------------------------------------------------------------------------


def begin(registry: Registry, method: str, path: str, declared: int, sent: bytes, content_type: str) -> Hanging:
    """Send a request of which only `sent` of the `declared` bytes arrive."""
    connection = http.client.HTTPConnection(registry.host, timeout=30)
    connection.putrequest(method, path)
    for name, value in {**registry.authorization, "Content-Type": content_type}.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(declared))
    connection.endheaders()
    connection.send(sent)
    time.sleep(0.3)  # for the server to take in what was sent
    return connection


def die_after_the_upload_was_opened(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    registry.start_upload(repository)
    return None


def die_in_the_middle_of_a_chunk(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    data = image.blobs[1].data
    return begin(registry, "PATCH", registry.start_upload(repository), len(data), data[: len(data) // 2], OCTETS)


def die_before_the_closing_put(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    headers = {"Content-Type": OCTETS}
    registry.expect(202, "PATCH", registry.start_upload(repository), image.blobs[1].data, headers)
    return None


def die_in_the_middle_of_the_closing_put(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    blob = image.blobs[1]
    path = registry.closing(registry.start_upload(repository), blob.data)
    return begin(registry, "PUT", path, len(blob.data), blob.data[:-1], OCTETS)


def die_before_the_manifest(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    for blob in image.blobs:
        registry.push_blob(repository, blob.data)
    return None


def die_in_the_middle_of_the_manifest(registry: Registry, repository: str, image: images.Manifest) -> Hanging:
    die_before_the_manifest(registry, repository, image)
    path = f"/v2/{repository}/manifests/1"
    return begin(registry, "PUT", path, len(image.data), image.data[:-1], image.media_type)


@pytest.mark.parametrize(
    "die",
    [
        die_after_the_upload_was_opened,
        die_in_the_middle_of_a_chunk,
        die_before_the_closing_put,
        die_in_the_middle_of_the_closing_put,
        die_before_the_manifest,
        die_in_the_middle_of_the_manifest,
    ],
)
def test_after_a_kill_nothing_half_is_served_and_the_retry_succeeds(
    die: Callable[[Registry, str, images.Manifest], Hanging], victim: services.Site, registry: Registry
) -> None:
    repository = f"{new_project(registry)}/app"
    image = images.image(repository, layer_size=3_000_000)
    hanging = die(registry, repository, image)
    victim.kill9()
    if hanging:
        hanging.close()
    victim.start()

    assert not registry.has(repository, "1")
    for blob in image.blobs:
        answer = registry.request("GET", f"/v2/{repository}/blobs/{blob.digest}")
        assert (answer.status, answer.body) == (200, blob.data) or answer.status == 404
    registry.push(repository, image, "1")
    registry.assert_serves(repository, "1", image)
    victim.manage("shell", "-c", CLEAN_UP)
    assert list((victim.data / "registry" / "uploads").iterdir()) == []


def test_what_was_acknowledged_before_a_kill_at_any_moment_is_served_after_it(
    victim: services.Site, registry: Registry
) -> None:
    repository = f"{new_project(registry)}/app"
    for moment in (0.02, 0.1, 0.2, 0.35, 0.6):
        acknowledged: list[tuple[str, images.Manifest]] = []

        def push_until_refused(moment: float = moment, done: list[tuple[str, images.Manifest]] = acknowledged) -> None:
            with suppress(OSError, http.client.HTTPException):
                for number in range(1000):
                    image = images.image(f"{moment} {number}", layer_size=200_000)
                    registry.push(repository, image, f"{moment}-{number}")
                    done.append((f"{moment}-{number}", image))

        pusher = threading.Thread(target=push_until_refused)
        pusher.start()
        time.sleep(moment)
        victim.kill9()
        pusher.join()
        victim.start()
        for tag, image in acknowledged:
            registry.assert_serves(repository, tag, image)
        retried = images.image(f"{moment} {len(acknowledged)}", layer_size=200_000)
        registry.push(repository, retried, "retried")
        registry.assert_serves(repository, "retried", retried)


# --- crowds -----------------------------------------------------------------------------------------------


def together(work: Callable[[int], object]) -> None:
    """Run `work(0)` to `work(63)` at once; the first failure is raised."""
    gate = threading.Barrier(CROWD)

    def start(number: int) -> object:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(start, range(CROWD)))


def total(registry: Registry, path: str) -> int:
    return int(registry.expect(200, "GET", f"/api/v2.0/{path}?page_size=1").headers["x-total-count"])


def test_a_crowd_pushes_different_images_with_a_shared_layer(registry: Registry) -> None:
    project = new_project(registry)
    shared = images.image("shared", layer_size=100_000)

    def push(number: int) -> None:
        registry.push(f"{project}/app", images.image(f"crowd {number}", layers=2, layer_size=20_000), f"t{number}")
        registry.push(f"{project}/app", shared, "shared")

    together(push)
    assert set(registry.tags(f"{project}/app")) == {"shared", *(f"t{number}" for number in range(CROWD))}
    assert total(registry, f"projects/{project}/repositories/app/artifacts") == CROWD + 1
    registry.assert_serves(f"{project}/app", "shared", shared)
    for number in (0, CROWD // 2, CROWD - 1):
        image = images.image(f"crowd {number}", layers=2, layer_size=20_000)
        registry.assert_serves(f"{project}/app", f"t{number}", image)


def test_a_crowd_pushes_to_repositories_of_its_own(registry: Registry) -> None:
    project = new_project(registry)
    image = images.image("same image", layer_size=50_000)
    together(lambda number: registry.push(f"{project}/app{number}", image, "1"))
    assert total(registry, f"projects/{project}/repositories") == CROWD
    for number in range(0, CROWD, 16):
        registry.assert_serves(f"{project}/app{number}", "1", image)


def test_a_crowd_moves_one_tag(registry: Registry) -> None:
    repository = f"{new_project(registry)}/app"
    made = [images.image(f"mover {number}") for number in range(CROWD)]
    together(lambda number: registry.push(repository, made[number], "latest"))
    assert registry.manifest(repository, "latest").body in {image.data for image in made}
    assert registry.tags(repository) == ["latest"]
    for image in made:
        assert registry.has(repository, image.digest)


def test_a_crowd_pulls_while_others_push(registry: Registry) -> None:
    repository = f"{new_project(registry)}/app"
    image = images.image("pulled", layers=2, layer_size=100_000)
    registry.push(repository, image, "1")

    def work(number: int) -> None:
        if number % 2:
            registry.push(repository, images.image(f"pushed {number}"), f"t{number}")
        else:
            registry.assert_serves(repository, "1", image)

    together(work)
    assert len(registry.tags(repository)) == CROWD // 2 + 1


# --- slow readers -----------------------------------------------------------------------------------------


def slow_reader(registry: Registry, path: str, token: str) -> socket.socket:
    """A connection that has asked for `path` and takes little of the answer at a time."""
    host, _, port = registry.host.partition(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(60)
    reader.connect((host, int(port)))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {registry.host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return reader


def test_two_hundred_readers_of_a_byte_a_second_stop_nobody(site: services.Site) -> None:
    registry = Registry(site.host, "admin", site.password, timeout=10)
    repository = f"{new_project(registry)}/app"
    large = images.image("slow", layer_size=16_000_000)
    registry.push(repository, large, "large")
    token = registry.token(f"repository:{repository}:pull")
    with ExitStack() as stack:
        path = f"/v2/{repository}/blobs/{large.blobs[1].digest}"
        readers = [stack.enter_context(slow_reader(registry, path, token)) for _ in range(200)]
        deadline = time.monotonic() + 8
        slowest = 0.0
        for number in range(8):
            for reader in readers:
                reader.setblocking(False)
                with suppress(BlockingIOError):
                    reader.recv(1)
            began = time.monotonic()
            small = images.image(f"quick {number}")
            registry.push(repository, small, f"t{number}")
            registry.assert_serves(repository, f"t{number}", small)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(max(0, min(1 - (time.monotonic() - began), deadline - time.monotonic())))
    assert slowest < 5, f"a push and pull took {slowest:.1f} s"


# --- a full disk ------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_clearly_and_spoils_nothing() -> None:
    with services.harborsite(disk="256m") as site:
        ballast = str(site.data / "ballast")
        subprocess.run([*site.inside, "fallocate", "--length=160M", ballast], check=True)
        registry = Registry(site.host, "admin", site.password)
        repository = f"{new_project(registry)}/app"
        before = images.image("before", layer_size=500_000)
        registry.push(repository, before, "before")
        refused, blob = fill(registry, repository)
        assert refused.status in (500, 503, 507)
        assert refused.json["errors"][0]["code"]
        assert re.search("no space left|disk is full|disk full", site.server.log_tail(200), re.IGNORECASE)

        registry.assert_serves(repository, "before", before)
        assert registry.request("HEAD", f"/v2/{repository}/blobs/{images.digest_of(blob)}").status == 404
        subprocess.run([*site.inside, "rm", ballast], check=True)
        registry.push_blob(repository, blob)
        assert registry.blob(repository, images.digest_of(blob)) == blob
        site.restart()
        registry.assert_serves(repository, "before", before)
        after = images.image("after", layer_size=500_000)
        registry.push(repository, after, "after")
        registry.assert_serves(repository, "after", after)


def fill(registry: Registry, repository: str) -> tuple[Answer, bytes]:
    """Push blobs until one is refused."""
    for number in range(30):
        blob = images.incompressible(f"fill {number}", 8_000_000)
        opened = registry.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        if opened.status != 202:
            return opened, blob
        answer = registry.request("PUT", registry.closing(location(opened), blob), blob, {"Content-Type": OCTETS})
        if answer.status != 201:
            return answer, blob
    raise AssertionError("the disk took more than it has")
