"""A registry in memory on loopback that speaks the distribution protocol, and misbehaves as a test wants."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.images import Manifest, digest_of

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<reference>[^?]*)")
_READ = 64 * 1024


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


class Call(BaseHTTPRequestHandler):
    """A request, with short ways to answer it."""

    protocol_version = "HTTP/1.1"
    registry: StandIn

    def handle_any(self) -> None:
        self.left = int(self.headers.get("Content-Length") or 0)
        self.registry.seen.append(Seen(self.command, self.path, dict(self.headers)))
        for fault in self.registry.faults:
            if fault(self):
                break
        else:
            self.registry.answer(self)
        while self.left and not self.close_connection:
            self.read()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the server's names

    def read(self) -> bytes:
        """The next piece of the body."""
        piece = self.rfile.read(min(self.left, _READ))
        self.left = self.left - len(piece) if piece else 0
        return piece

    def body(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def say(self, status: int, body: bytes = b"", *, announced: int | None = None, **headers: str) -> None:
        """Answer; `announced` is a length that is not the body's."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if announced is not None and announced != len(body):
            self.close_connection = True

    def say_json(self, document: Any, status: int = 200, **headers: str) -> None:
        self.say(status, json.dumps(document).encode(), announced=None, **headers)

    def log_message(self, *details: Any) -> None:
        """Quiet."""


Fault = Callable[[Call], bool]  # whether it has answered


class StandIn:
    """`seen` are the requests; each of `faults` may answer one before the registry does.

    With `realm` it wants a token, and gives one at that path to whoever knows `account`.
    """

    account = ("robot", "canary-5f1d")

    def __init__(self, *, tls: Path | None = None, realm: str = "") -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.realm = realm
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Call,), {"registry": self}))
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hold(self, repository: str, tag: str, image: Manifest) -> None:
        """As if it had been pushed."""
        for manifest in image.walk():
            self.blobs |= {blob.digest: blob.data for blob in manifest.blobs}
            self._keep(repository, manifest.digest, manifest.media_type, manifest.data)
        self._keep(repository, tag, image.media_type, image.data)

    def tags(self, repository: str) -> list[str]:
        return sorted(ref for name, ref in self.manifests if name == repository and ":" not in ref)

    def asked(self, method: str, part: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and part in seen.path]

    def _keep(self, repository: str, reference: str, media_type: str, data: bytes) -> str:
        for key in (reference, digest_of(data)):
            self.manifests[repository, key] = (media_type, data)
        return digest_of(data)

    # --- answering

    def answer(self, call: Call) -> None:
        parts = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.realm and parts.path == urlsplit(self.realm).path:
            call.say_json({"token": "good"})
        elif self.realm and call.headers.get("Authorization") != "Bearer good":
            call.say(401, WWW_Authenticate=f'Bearer realm="{self.realm}",service="stand-in"')
        elif parts.path == "/v2/":
            call.say(200, b"{}")
        elif parts.path == "/v2/_catalog":
            call.say_json({"repositories": sorted({name for name, _ in self.manifests})})
        elif "/blobs/uploads/" in parts.path:
            self._upload(call, parts.path, query)
        elif found := _PATH.fullmatch(parts.path):
            getattr(self, f"_{found['kind']}")(call, found["name"], found["reference"])
        else:
            call.say(404)

    def _tags(self, call: Call, name: str, _reference: str) -> None:
        found = self.tags(name)
        call.say_json({"name": name, "tags": found}, 200 if found else 404)

    def _referrers(self, call: Call, _name: str, _reference: str) -> None:
        call.say_json({"schemaVersion": 2, "manifests": []})

    def _manifests(self, call: Call, name: str, reference: str) -> None:
        if call.command == "PUT":
            digest = self._keep(name, reference, call.headers["Content-Type"], call.body())
            call.say(201, Docker_Content_Digest=digest)
        elif call.command == "DELETE":
            gone = self.manifests.pop((name, reference), None)
            call.say(202 if gone else 404)
        elif (name, reference) in self.manifests:
            media_type, data = self.manifests[name, reference]
            call.say(200, data, Content_Type=media_type, Docker_Content_Digest=digest_of(data))
        else:
            call.say(404)

    def _blobs(self, call: Call, _name: str, digest: str) -> None:
        if digest not in self.blobs:
            call.say(404)
            return
        data, start = self.blobs[digest], 0
        if wanted := re.fullmatch(r"bytes=(\d+)-", call.headers.get("Range", "")):
            start = int(wanted[1])
        call.say(206 if start else 200, data[start:])

    def _upload(self, call: Call, path: str, query: dict[str, str]) -> None:
        key = path.rpartition("/")[2]
        if call.command == "POST":
            if query.get("mount") in self.blobs:
                call.say(201)
                return
            key = f"u{len(self.uploads)}"
            self.uploads[key] = bytearray()
            call.say(202, Location=f"{path}{key}")
            return
        if key not in self.uploads:
            call.say(404)
            return
        while piece := call.read() if call.command in {"PUT", "PATCH"} else b"":
            self.uploads[key] += piece
        held = bytes(self.uploads[key])
        if call.command == "PUT":
            right = digest_of(held) == query["digest"]
            if right:
                self.blobs[query["digest"]] = held
            call.say(201 if right else 400)
        else:
            status = 202 if call.command == "PATCH" else 204
            call.say(status, Location=path, Range=f"0-{max(len(held) - 1, 0)}")


def on(method: str, part: str, answer: Any, *, times: int = 1_000_000) -> Fault:
    """A fault for requests of this method whose path holds `part`, the first so many times."""
    left = [times]

    def fault(call: Call) -> bool:
        if call.command != method or part not in call.path or not left[0]:
            return False
        left[0] -= 1
        answer(call)
        return True

    return fault


@contextmanager
def standin(**options: Any) -> Iterator[StandIn]:
    registry = StandIn(**options)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
