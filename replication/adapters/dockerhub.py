"""Docker Hub: listed and deleted from by its own interface, pulled from and pushed to another host."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext as _

from harborsite.outbound import Client, OutboundError, Response
from registry.oci import grammar
from registry.oci.digest import Digest
from replication.adapters import lists
from replication.adapters.base import Options
from replication.adapters.distribution import Distribution
from replication.adapters.session import USER_AGENT
from replication.errors import RemoteError
from replication.filters import Filters
from replication.models import Registry

HUB = "https://hub.docker.com"
REGISTRY = "https://registry-1.docker.io"
_PAGE = 100  # the most that it gives
_MOMENT = re.compile(r"\d{1,11}")


class DockerHub(Distribution):
    """Has no catalogue: what is listed are the namespaces that a filter names, or those of the account."""

    def __init__(self, registry: Registry, secret: str, options: Options) -> None:
        super().__init__(registry, secret, options)
        self._hub = Hub(registry, secret)

    @staticmethod
    def registry_url(url: str) -> str:
        return REGISTRY if urlsplit(url).netloc == urlsplit(HUB).netloc else url

    def close(self) -> None:
        super().close()
        self._hub.close()

    def repository_names(self, filters: Filters) -> Iterable[str]:
        literal = filters.literal_names()
        if literal is not None:
            return [name if "/" in name else f"library/{name}" for name in literal]
        return self._listed(filters)

    def _listed(self, filters: Filters) -> Iterator[str]:
        for namespace in self._namespaces(filters):
            for row in self._hub.rows(f"/v2/namespaces/{quote(namespace, safe='')}/repositories"):
                name = f"{namespace}/{row.get('name')}"
                if grammar.is_repository_name(name) and filters.means_repository(name):
                    yield name

    def _namespaces(self, filters: Filters) -> list[str]:
        prefixes = filters.name_prefixes()
        if all("/" in prefix for prefix in prefixes):
            return sorted({prefix.partition("/")[0] for prefix in prefixes})
        if not self.registry.access_key:
            raise OutboundError(_("name the namespaces in the policy's filter, as in library/*"))
        return self._hub.namespaces()

    def delete_artifact(self, repository: str, digest: Digest) -> None:
        """The Hub forgets tags, and what no tag holds goes with them."""
        for row in list(self._hub.rows(f"/v2/namespaces/{_as_hub_path(repository)}/tags")):
            if _digest_of(row) == str(digest):
                self.delete_tag(repository, str(row.get("name")))

    def delete_tag(self, repository: str, tag: str) -> None:
        namespace, _slash, name = repository.partition("/")
        path = f"/v2/repositories/{quote(namespace, safe='')}/{quote(name, safe='')}/tags/{quote(tag, safe='')}/"
        self._hub.ask("DELETE", path, accept=(200, 202, 204, 404)).close()


class Hub:
    """The Hub's own interface, signed in to when it is first asked."""

    def __init__(self, registry: Registry, secret: str) -> None:
        self._url = registry.url.rstrip("/")
        self._account = {"identifier": registry.access_key, "secret": secret}
        self._client = Client(
            verify=not registry.insecure, ca_certificate=registry.ca_certificate, user_agent=USER_AGENT
        )
        self._headers: dict[str, str] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, *, accept: Collection[int] = (200,)) -> Response:
        return self._send(method, path, accept, self._signature(), b"")

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """All rows of a list, page by page; none if there is no such list."""
        url = f"{self._url}{path}"
        for number in range(1, lists.MAX_PAGES + 1):
            with self.ask("GET", f"{path}?page_size={_PAGE}&page={number}", accept=(200, 404)) as answer:
                page = answer.json() if answer.status == 200 else {}
            found = lists.entries(page, "results", url)
            yield from (row for row in found if isinstance(row, dict))
            if not found or not page.get("next"):
                return
        raise lists.endless(url)

    def namespaces(self) -> list[str]:
        """Where the account may push."""
        with self.ask("GET", "/v2/repositories/namespaces") as answer:
            found = lists.entries(answer.json(), "namespaces", answer.url)
        return sorted(str(name) for name in found)

    def _signature(self) -> dict[str, str]:
        with self._lock:
            if self._headers is None:
                self._headers = self._sign_in() if self._account["identifier"] else {}
            return self._headers

    def _sign_in(self) -> dict[str, str]:
        body = json.dumps(self._account).encode()
        with self._send("POST", "/v2/auth/token", (200,), {"Content-Type": "application/json"}, body) as answer:
            document = answer.json()
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise OutboundError(_("{url} gives no token").format(url=self._url))
        return {"Authorization": f"Bearer {token}"}

    def _send(self, method: str, path: str, accept: Collection[int], headers: dict[str, str], body: bytes) -> Response:
        answer = self._client.request(method, f"{self._url}{path}", headers=headers, body=body)
        if answer.status not in accept:
            answer.close()
            raise RemoteError.of(method, answer.url, answer.status, "", _pause(answer))
        return answer


def _digest_of(row: dict[str, Any]) -> object:
    """A tag's digest; of some the Hub tells only that of their one image."""
    images = row.get("images")
    only = images[0] if isinstance(images, list) and len(images) == 1 and isinstance(images[0], dict) else {}
    return row.get("digest") or only.get("digest")


def _as_hub_path(repository: str) -> str:
    namespace, _slash, name = repository.partition("/")
    return f"{quote(namespace, safe='')}/repositories/{quote(name, safe='')}"


def _pause(answer: Response) -> float:
    """The Hub names the moment from which on it may be asked again."""
    moment = answer.headers.get("X-Retry-After", "")
    return max(0.0, int(moment) - time.time()) if _MOMENT.fullmatch(moment) else 0.0
