"""A Docker Hub in memory: its interface as docs.docker.com describes it, and its registry with its token service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.replication.standin import Call, StandIn

JWT = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"


class HubStandIn(StandIn):
    """`registry` is the other host, whose content this one lists."""

    page_size = 2  # fewer than asked for, as it may

    def __init__(self) -> None:
        super().__init__()
        self.registry = HubRegistry()

    def answer(self, call: Call) -> None:
        parts = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match [call.command, *parts.path.strip("/").split("/")[1:]]:
            case ["POST", "auth", "token"]:
                right = dict(zip(("identifier", "secret"), self.account, strict=True))
                good = json.loads(call.body()) == right
                call.say_json(
                    {"access_token": JWT} if good else {"detail": "Incorrect credentials"}, 200 if good else 401
                )
            case ["GET", "repositories", "namespaces"] if self._is_signed(call):
                call.say_json({"namespaces": [self.account[0], "team"]})
            case ["GET", "namespaces", namespace, "repositories"]:
                found = sorted({name for name, _ in self.registry.manifests if name.startswith(f"{namespace}/")})
                self._page(call, query, [{"name": name.partition("/")[2], "namespace": namespace} for name in found])
            case ["GET", "namespaces", namespace, "repositories", name, "tags"] if self._is_signed(call):
                repository = f"{namespace}/{name}"
                tags = self.registry.tags(repository)
                self._page(call, query, [self._tag(repository, tag) for tag in tags])
            case ["DELETE", "repositories", namespace, name, "tags", tag] if self._is_signed(call):
                gone = self.registry.manifests.pop((f"{namespace}/{name}", tag), None)
                call.say(204 if gone else 404)
            case _:
                call.say_json({"message": "not found"}, 404)

    def _is_signed(self, call: Call) -> bool:
        return call.headers.get("Authorization") == f"Bearer {JWT}"

    def _tag(self, repository: str, tag: str) -> dict[str, Any]:
        """As the Hub describes a tag of one image: not every one has a digest of its own."""
        data = self.registry.manifests[repository, tag]
        digest = next(ref for (_, ref), held in self.registry.manifests.items() if held == data and ":" in ref)
        own = {"digest": digest} if tag == "v1" else {}
        return {"name": tag, "images": [{"architecture": "amd64", "digest": digest}], **own}

    def _page(self, call: Call, query: dict[str, str], rows: list[dict[str, Any]]) -> None:
        number = int(query.get("page", "1"))
        start, end = (number - 1) * self.page_size, number * self.page_size
        following = f"{self.url}{urlsplit(call.path).path}?page={number + 1}" if end < len(rows) else None
        call.say_json({"count": len(rows), "next": following, "previous": None, "results": rows[start:end]})


class HubRegistry(StandIn):
    """Has no catalogue, deletes nothing, and gives tokens to visitors, too, for reading."""

    def __init__(self) -> None:
        super().__init__()
        self.realm = f"{self.url}/token"

    def answer(self, call: Call) -> None:
        parts = urlsplit(call.path)
        pair = base64.b64encode(":".join(self.account).encode()).decode()
        if parts.path == "/token":
            given = call.headers.get("Authorization")
            right = given == f"Basic {pair}"
            scope = "".join(parse_qs(parts.query).get("scope", []))
            if given and not right:
                call.say_json({"details": "incorrect username or password"}, 401)
            elif not right and "push" in scope:
                call.say_json({"token": "visitor", "expires_in": 300})
            else:
                call.say_json({"token": "good", "expires_in": 300})
        elif parts.path == "/v2/_catalog" or call.command == "DELETE":
            call.say_json({"errors": [{"code": "UNSUPPORTED"}]}, 405 if call.command == "DELETE" else 401)
        else:
            super().answer(call)


@contextmanager
def docker_hub() -> Iterator[HubStandIn]:
    hub = HubStandIn()
    hub.start()
    hub.registry.start()
    try:
        yield hub
    finally:
        hub.stop()
        hub.registry.stop()
