"""Making load that costs little itself: wrk for reading, plain sockets with prepared bytes for pushing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from tests.services import LOOPBACK

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CHUNK = 32 * 1024  # docker sends its layers in chunks of this size
_BLOCK = 8 << 20
_UNITS = {"B": 1 / (1 << 20), "KB": 1 / 1024, "MB": 1.0, "GB": 1024.0}


class BenchmarkError(Exception):
    """A server did not answer as it should, so that its figure would mean nothing."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]


class Client:
    """One kept-alive connection that always sends the token."""

    def __init__(self, port: int, token: str) -> None:
        self._sock = socket.create_connection((LOOPBACK, port), timeout=120)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._common = f"Host: {LOOPBACK}:{port}\r\nAuthorization: Bearer {token}\r\n"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def call(
        self, method: str, path: str, expected: int, body: bytes = b"", content_type: str = "", accept: str = "*/*"
    ) -> Answer:
        headers = f"Accept: {accept}\r\n" + (f"Content-Type: {content_type}\r\n" if content_type else "")
        self._sock.sendall(self._head(method, path, f"{headers}Content-Length: {len(body)}\r\n") + body)
        return self._answer(method, path, expected)

    def stream(self, path: str, frames: Sequence[bytes]) -> Answer:
        """PATCH with a body of unknown length, as docker sends it."""
        self._sock.sendall(
            self._head("PATCH", path, "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n")
        )
        for frame in frames:
            self._sock.sendall(frame)
        self._sock.sendall(b"0\r\n\r\n")
        return self._answer("PATCH", path, 202)

    def _head(self, method: str, path: str, headers: str) -> bytes:
        return f"{method} {path} HTTP/1.1\r\n{self._common}{headers}\r\n".encode()

    def _answer(self, method: str, path: str, expected: int) -> Answer:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(method, path)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += self._more(method, path)
        status = int(lines[0].split()[1])
        if status != expected:
            raise BenchmarkError(f"{method} {path}: {status} instead of {expected}: {body[:500]!r}")
        return Answer(status, headers)

    def _more(self, method: str, path: str) -> bytes:
        data = self._sock.recv(65536)
        if not data:
            raise BenchmarkError(f"{method} {path}: the server closed the connection")
        return data


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_blob(client: Client, repository: str, data: bytes, digest: str) -> None:
    """POST, then PUT with the content."""
    location = _location(client.call("POST", f"/v2/{repository}/blobs/uploads/", 202))
    client.call("PUT", _with_digest(location, digest), 201, data, "application/octet-stream")


def push_layer(client: Client, repository: str, layer: Layer) -> None:
    """POST, one streamed PATCH, then an empty PUT."""
    location = _location(client.call("POST", f"/v2/{repository}/blobs/uploads/", 202))
    location = _location(client.stream(location, layer.frames))
    client.call("PUT", _with_digest(location, layer.digest), 201)


def push_manifest(client: Client, repository: str, tag: str, manifest: bytes) -> None:
    client.call("PUT", f"/v2/{repository}/manifests/{tag}", 201, manifest, MANIFEST_TYPE)


def _location(answer: Answer) -> str:
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


@dataclass(frozen=True)
class Layer:
    """Content nobody has seen before, framed for the wire already."""

    frames: Sequence[bytes]
    digest: str


@cache
def _block() -> bytes:
    return os.urandom(_BLOCK)


@cache
def _framed_block() -> bytes:
    block = _block()
    return b"".join(_frame(block[start : start + CHUNK]) for start in range(0, _BLOCK, CHUNK))


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def new_layer(size: int) -> Layer:
    """A layer of `size` bytes, a multiple of the block; its first chunk makes it unique."""
    first = os.urandom(CHUNK) + _block()[CHUNK:]
    hasher = hashlib.sha256(first)
    frames = [b"".join(_frame(first[start : start + CHUNK]) for start in range(0, _BLOCK, CHUNK))]
    for _ in range(size // _BLOCK - 1):
        hasher.update(_block())
        frames.append(_framed_block())
    return Layer(frames, f"sha256:{hasher.hexdigest()}")


def manifest(config: str, layers: Sequence[tuple[str, int]], note: str) -> bytes:
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}
            for digest, size in layers
        ],
        "annotations": {"note": note},
    }
    return json.dumps(content, indent=3).encode()


def in_parallel(workers: int, work: Callable[[int], None]) -> float:
    """Seconds that `work(0)` … `work(workers - 1)` take side by side."""
    barrier = threading.Barrier(workers + 1)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    if failures:
        raise failures[0]
    return elapsed


@dataclass(frozen=True)
class Readings:
    per_second: float
    megabytes_per_second: float
    p95_ms: float  # within which 95 of 100 requests were answered


_TELL_P95 = 'done = function(summary, latency) io.write(string.format("p95 %d us\\n", latency:percentile(95))) end\n'


def reader(token: str) -> Mapping[str, str]:
    """The headers of a client that reads manifests."""
    return {"Authorization": f"Bearer {token}", "Accept": MANIFEST_TYPE}


def wrk(url: str, headers: Mapping[str, str], connections: int, seconds: float) -> Readings:
    """Read `url` over and over with `connections` connections."""
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_TELL_P95)
        script.flush()
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", script.name]
        text = subprocess.run([*argv, *given, url], capture_output=True, text=True, check=True).stdout
    if trouble := re.search(r"Non-2xx.*|Socket errors.*", text):
        raise BenchmarkError(f"GET {url}: {trouble[0]}")
    requests = re.search(r"Requests/sec:\s+([\d.]+)", text)
    transfer = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?B)", text)
    slow = re.search(r"p95 (\d+) us", text)
    if not requests or not transfer or not slow:
        raise BenchmarkError(f"GET {url}: wrk said {text!r}")
    return Readings(float(requests[1]), float(transfer[1]) * _UNITS[transfer[2]], int(slow[1]) / 1000)
