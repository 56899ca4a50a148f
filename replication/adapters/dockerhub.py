"""Docker Hub: listed by its own interface, pulled from and pushed to another host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext as _

from harborsite.outbound import Client, OutboundError
from replication.adapters.distribution import Distribution, next_page
from replication.adapters.session import USER_AGENT
from replication.errors import RemoteError
from replication.filters import Filters

HUB = "https://hub.docker.com"
REGISTRY = "https://registry-1.docker.io"
_PAGE = 100


class DockerHub(Distribution):
    """Has no catalogue: what is listed are the namespaces that a filter names, or those of the account."""

    @staticmethod
    def registry_url(url: str) -> str:
        return REGISTRY if urlsplit(url).hostname == urlsplit(HUB).hostname else url

    def repository_names(self, filters: Filters) -> Iterable[str]:
        literal = filters.literal_names()
        if literal is not None:
            return [name if "/" in name else f"library/{name}" for name in literal]
        return self._listed(filters)

    def _listed(self, filters: Filters) -> Iterator[str]:
        with Client(
            verify=not self.registry.insecure, ca_certificate=self.registry.ca_certificate, user_agent=USER_AGENT
        ) as client:
            headers = self._sign_in(client)
            for namespace in self._namespaces(client, headers, filters):
                path = f"/v2/repositories/{quote(namespace, safe='')}/?page_size={_PAGE}"
                for row in self._all(client, headers, path):
                    name = f"{namespace}/{row.get('name')}"
                    if filters.means_repository(name):
                        yield name

    def _namespaces(self, client: Client, headers: dict[str, str], filters: Filters) -> list[str]:
        prefixes = filters.name_prefixes()
        if all("/" in prefix for prefix in prefixes):
            return sorted({prefix.partition("/")[0] for prefix in prefixes})
        if not headers:
            raise OutboundError(_("name the namespaces in the policy's filter, as in library/*"))
        with client.request("GET", f"{self._hub()}/v2/repositories/namespaces/", headers=headers) as answer:
            document = answer.json() if answer.status == 200 else {}
        found = document.get("namespaces") if isinstance(document, dict) else None
        return [str(name) for name in found or []]

    def _sign_in(self, client: Client) -> dict[str, str]:
        if not self.session.access.username:
            return {}
        pair = {"username": self.session.access.username, "password": self.session.access.password}
        with client.request(
            "POST",
            f"{self._hub()}/v2/users/login/",
            headers={"Content-Type": "application/json"},
            body=json.dumps(pair).encode(),
        ) as answer:
            if answer.status != 200:
                raise RemoteError.of("POST", answer.url, answer.status, "")
            token = answer.json().get("token")
        return {"Authorization": f"Bearer {token}"}

    def _all(self, client: Client, headers: dict[str, str], path: str) -> Iterator[dict[str, Any]]:
        url: str | None = f"{self._hub()}{path}"
        while url:
            with client.request("GET", url, headers=headers) as answer:
                if answer.status == 404:
                    return
                if answer.status != 200:
                    raise RemoteError.of("GET", answer.url, answer.status, "")
                page = answer.json()
                url = next_page(answer) or self._following(page)
            yield from (row for row in page.get("results") or [] if isinstance(row, dict))

    def _following(self, page: dict[str, Any]) -> str | None:
        """The next page, if it is on the Hub."""
        following = page.get("next")
        return following if isinstance(following, str) and following.startswith(f"{self._hub()}/") else None

    def _hub(self) -> str:
        return self.registry.url.rstrip("/")
