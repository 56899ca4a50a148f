"""What is measured: each row is one figure of a server, the higher the better, with what it has to reach."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from bench import load
from tests.services import LOOPBACK

REPOSITORY = "library/bench"
TAGS = 100
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """A running server whose store holds what the rows read."""

    name: str
    port: int
    token: str
    config: str = load.digest_of(b"{}")
    small: bytes = os.urandom(1024)
    large: bytes = os.urandom(10 * MIB)

    def client(self) -> load.Client:
        return load.Client(self.port, self.token)

    def url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.port}/v2/{REPOSITORY}/{path}"

    @cached_property
    def layers(self) -> list[tuple[str, int]]:
        return [(load.digest_of(data), len(data)) for data in (self.small, self.large)]

    def manifest(self, note: str) -> bytes:
        return load.manifest(self.config, self.layers, note)

    def fill(self) -> None:
        client = self.client()
        for data in (b"{}", self.small, self.large):
            load.push_blob(client, REPOSITORY, data, load.digest_of(data))
        for number in range(TAGS):
            load.push_manifest(client, REPOSITORY, f"v{number:03d}", self.manifest("read"))


@dataclass(frozen=True)
class Row:
    title: str
    unit: str
    must: float  # times docker-registry 2.8
    goal: float
    measure: Callable[[Target, float], float]


def _read(path: Callable[[Target], str], connections: int) -> Callable[[Target, float], float]:
    def measure(target: Target, seconds: float) -> float:
        return load.wrk(target.url(path(target)), load.reader(target.token), connections, seconds).per_second

    return measure


def _read_large(target: Target, seconds: float) -> float:
    url = target.url(f"blobs/{load.digest_of(target.large)}")
    return load.wrk(url, load.reader(target.token), 16, seconds).megabytes_per_second


def _push_one(target: Target, seconds: float) -> float:
    layer, client = load.new_layer(512 * MIB), target.client()
    os.sync()  # what others have left to write must not be on our time
    began = time.perf_counter()
    load.push_layer(client, REPOSITORY, layer)
    return 512 / (time.perf_counter() - began)


def _push_eight(target: Target, seconds: float) -> float:
    layers = [load.new_layer(32 * MIB) for _ in range(8)]
    clients = [target.client() for _ in layers]
    os.sync()
    return 8 * 32 / load.in_parallel(8, lambda i: load.push_layer(clients[i], REPOSITORY, layers[i]))


def _push_small(target: Target, seconds: float) -> float:
    count = int(25 * seconds)
    blobs = [[os.urandom(1024) for _ in range(count)] for _ in range(8)]
    clients = [target.client() for _ in blobs]

    def work(number: int) -> None:
        for data in blobs[number]:
            load.push_blob(clients[number], REPOSITORY, data, load.digest_of(data))

    os.sync()
    return 8 * count / load.in_parallel(8, work)


def _push_manifests(target: Target, seconds: float) -> float:
    count = int(25 * seconds)
    clients = [target.client() for _ in range(8)]
    manifests = [[target.manifest(os.urandom(8).hex()) for _ in range(count)] for _ in clients]

    def work(number: int) -> None:
        for index, manifest in enumerate(manifests[number]):
            load.push_manifest(clients[number], REPOSITORY, f"w{number}-{index}", manifest)

    os.sync()
    return 8 * count / load.in_parallel(8, work)


def _by_tag(target: Target) -> str:
    return "manifests/v042"


ROWS = [
    Row("manifest GET by tag, 16 connections", "1/s", 1.2, 3.2, _read(_by_tag, 16)),
    Row("manifest GET by tag, 256 connections", "1/s", 1.2, 3.2, _read(_by_tag, 256)),
    Row(
        "blob GET 1 KiB, 16 connections",
        "1/s",
        1.5,
        4.2,
        _read(lambda target: f"blobs/{load.digest_of(target.small)}", 16),
    ),
    Row("blob GET 10 MiB, 16 connections", "MB/s", 0.9, 1.3, _read_large),
    Row("tags/list n=100, 8 connections", "1/s", 1.2, 2.2, _read(lambda target: f"tags/list?n={TAGS}", 8)),
    Row("push 512 MiB, one streamed PATCH", "MB/s", 1.0, 1.7, _push_one),
    Row("push 8 × 32 MiB in parallel", "MB/s", 1.0, 2.5, _push_eight),
    Row("push 1 KiB blobs, 8 writers", "1/s", 1.0, 6.0, _push_small),
    Row("manifest PUT, 8 writers", "1/s", 1.0, 1.3, _push_manifests),
]
