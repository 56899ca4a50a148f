"""A plain HTTP client of /v2 and the REST API: what the other clients did is checked with it."""

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests import images

ACCEPT = ", ".join(
    (images.OCI_MANIFEST, images.OCI_INDEX, images.DOCKER_MANIFEST, images.DOCKER_LIST, "application/json")
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def location(answer: Answer) -> str:
    """The path of the answer's Location, which may be a whole URL."""
    return re.sub(r"^https?://[^/]+", "", answer.headers["location"])


class Registry:
    """Requests of one user, each on a connection of its own so that threads can share the object."""

    def __init__(
        self, host: str, user: str = "", password: str = "", *, timeout: float = 60, tls: ssl.SSLContext | None = None
    ) -> None:
        self.host = host
        self.user = user
        self.password = password
        self.timeout = timeout
        self.tls = tls

    @property
    def authorization(self) -> dict[str, str]:
        if not self.user:
            return {}
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def connect(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(self.host, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(self.host, timeout=self.timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; an iterable body goes out chunked, unless Content-Length is among `headers`."""
        connection = self.connect()
        try:
            connection.request(method, path, body, self.authorization | dict(headers or {}))
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, received, answer.read())
        finally:
            connection.close()

    def expect(self, status: int, method: str, path: str, *rest: Any) -> Answer:
        answer = self.request(method, path, *rest)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.body[:2000]!r}"
        return answer

    # --- /v2 ---

    def start_upload(self, repository: str) -> str:
        return location(self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/", b""))

    def closing(self, upload: str, data: bytes) -> str:
        """Where the last request of an upload that holds `data` goes to."""
        return f"{upload}{'&' if '?' in upload else '?'}{urlencode({'digest': images.digest_of(data)})}"

    def push_blob(self, repository: str, data: bytes) -> str:
        path = self.closing(self.start_upload(repository), data)
        self.expect(201, "PUT", path, data, {"Content-Type": "application/octet-stream"})
        return images.digest_of(data)

    def push(self, repository: str, manifest: images.Manifest, tag: str = "") -> str:
        """Push blobs, then children, then the manifest, under its digest when no tag is given."""
        for part in manifest.walk():
            for blob in part.blobs:
                if self.request("HEAD", f"/v2/{repository}/blobs/{blob.digest}").status != 200:
                    self.push_blob(repository, blob.data)
            reference = tag if tag and part is manifest else part.digest
            headers = {"Content-Type": part.media_type}
            self.expect(201, "PUT", f"/v2/{repository}/manifests/{reference}", part.data, headers)
        return manifest.digest

    def manifest(self, repository: str, reference: str) -> Answer:
        headers = {"Accept": ACCEPT}
        return self.expect(200, "GET", f"/v2/{repository}/manifests/{reference}", None, headers)

    def has(self, repository: str, reference: str) -> bool:
        headers = {"Accept": ACCEPT}
        return self.request("HEAD", f"/v2/{repository}/manifests/{reference}", None, headers).status == 200

    def blob(self, repository: str, digest: str) -> bytes:
        return self.expect(200, "GET", f"/v2/{repository}/blobs/{digest}").body

    def tags(self, repository: str) -> list[str]:
        names: list[str] = self.expect(200, "GET", f"/v2/{repository}/tags/list").json["tags"]
        return names

    def assert_serves(self, repository: str, reference: str, manifest: images.Manifest) -> None:
        """Every byte of `manifest` and of all that it names comes back as it was made."""
        answer = self.manifest(repository, reference)
        assert answer.body == manifest.data
        assert answer.headers["docker-content-digest"] == manifest.digest
        assert answer.headers["content-type"] == manifest.media_type
        for part in manifest.walk():
            assert self.manifest(repository, part.digest).body == part.data
            for blob in part.blobs:
                assert self.blob(repository, blob.digest) == blob.data

    # --- REST ---

    def create_project(self, name: str, *, public: bool = False) -> None:
        body = {"project_name": name, "metadata": {"public": str(public).lower()}}
        headers = {"Content-Type": "application/json"}
        self.expect(201, "POST", "/api/v2.0/projects", json.dumps(body).encode(), headers)

    def token(self, *scopes: str) -> str:
        query = urlencode([("service", "harbor-registry"), *(("scope", scope) for scope in scopes)])
        token: str = self.expect(200, "GET", f"/service/token?{query}").json["token"]
        return token
