"""Many repositories whose tags share their layers, as registries are in real life; pushed and compared in bulk."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from tests import images

_AT_ONCE = 8  # connections


@dataclass(frozen=True)
class Fleet:
    """`repositories` of `tags` images each: one layer that all share, one of the repository's, one of the tag's own.

    `sizes` are the bytes of these three layers; of 0 bytes is none. Each image has a configuration of its own.
    """

    project: str
    repositories: int = 50
    tags: int = 10
    sizes: tuple[int, int, int] = (64_000, 16_000, 0)
    seed: str = "fleet"
    names: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", [f"{self.project}/app{number:02}" for number in range(self.repositories)])

    @cached_property
    def base(self) -> images.Blob:
        return self._layer("base", self.sizes[0])

    def _layer(self, name: str, size: int) -> images.Blob:
        return images.Blob(images.OCI_LAYER, images.incompressible(f"{self.seed} {name}", size))

    def images_of(self, repository: str) -> Iterator[tuple[str, images.Manifest]]:
        """Each tag with its image."""
        own = self._layer(repository, self.sizes[1])
        for number in range(self.tags):
            tag = f"v{number}"
            top = self._layer(f"{repository}:{tag}", self.sizes[2])
            layers = [blob for blob in (self.base, own, top) if blob.data]
            config = images.Blob(
                images.OCI_CONFIG,
                json.dumps(
                    {
                        "architecture": "amd64",
                        "os": "linux",
                        "config": {"Env": [f"NAME={repository}:{tag}"]},
                        "rootfs": {"type": "layers", "diff_ids": [blob.digest for blob in layers]},
                    }
                ).encode(),
            )
            document = {
                "schemaVersion": 2,
                "mediaType": images.OCI_MANIFEST,
                "config": config.descriptor,
                "layers": [blob.descriptor for blob in layers],
            }
            data = json.dumps(document).encode()
            yield tag, images.Manifest(images.OCI_MANIFEST, data, (config, *layers))

    @cached_property
    def digests(self) -> dict[str, str]:
        """What every tag has to be, by `repository:tag`."""
        return {f"{name}:{tag}": image.digest for name in self.names for tag, image in self.images_of(name)}

    @property
    def total_bytes(self) -> int:
        base, own, top = self.sizes
        return base + self.repositories * (own + self.tags * top)

    def push(self, host: str, user: str = "", password: str = "") -> None:
        """Fill the registry at `host`; each blob is sent once and mounted into the other repositories."""
        with Line(host, user, password) as line:
            line.push_blob(self.names[0], self.base)
        with ThreadPoolExecutor(_AT_ONCE) as crew:
            list(crew.map(lambda name: self._push(name, host, user, password), self.names))

    def _push(self, name: str, host: str, user: str, password: str) -> None:
        sent: set[str] = set()
        with Line(host, user, password) as line:
            for tag, image in self.images_of(name):
                for blob in image.blobs:
                    if blob.digest not in sent:
                        line.push_blob(name, blob, mount_from=self.names[0] if blob is self.base else "")
                        sent.add(blob.digest)
                line.call("PUT", f"/v2/{name}/manifests/{tag}", 201, image.data, image.media_type)


class Line:
    """One kept-alive connection to a registry."""

    def __init__(self, host: str, user: str = "", password: str = "") -> None:
        self._connection = http.client.HTTPConnection(host, timeout=60)
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"} if user else {}

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *details: object) -> None:
        self._connection.close()

    def call(self, method: str, path: str, expected: int | None, body: bytes = b"", content_type: str = "") -> str:
        """The answer's Location or digest; `expected` is the status it has to have, if only one will do."""
        headers = {**self._headers, "Accept": images.OCI_MANIFEST, "Content-Type": content_type or "text/plain"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        assert expected in {None, answer.status}, f"{method} {path}: {answer.status} {said[:500]!r}"
        if answer.status == 202:
            return str(answer.headers["Location"])
        return answer.headers.get("Docker-Content-Digest", "") if answer.status < 300 else ""

    def push_blob(self, repository: str, blob: images.Blob, *, mount_from: str = "") -> None:
        mount = f"?mount={blob.digest}&from={mount_from}" if mount_from else ""
        location = self.call("POST", f"/v2/{repository}/blobs/uploads/{mount}", None)
        if location.startswith(("http", "/")):
            place = "/" + location.partition("://")[2].partition("/")[2] if "://" in location else location
            path = f"{place}{'&' if '?' in place else '?'}digest={blob.digest}"
            self.call("PUT", path, 201, blob.data, "application/octet-stream")


def digests_at(host: str, references: Sequence[str], user: str = "", password: str = "") -> dict[str, str]:
    """What the tags `repository:tag` are at a registry; those that are not there are left out."""

    def look(part: Sequence[str]) -> dict[str, str]:
        with Line(host, user, password) as line:
            paths = {reference: "/v2/{}/manifests/{}".format(*reference.rsplit(":", 1)) for reference in part}
            return {reference: line.call("HEAD", path, None) for reference, path in paths.items()}

    parts = [references[start::_AT_ONCE] for start in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as crew:
        found = {reference: digest for part in crew.map(look, parts) for reference, digest in part.items()}
    return {reference: digest for reference, digest in found.items() if digest}
