"""Signed requests to one registry: challenges, tokens, and credentials that go to nobody else."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from django.utils.translation import gettext as _

from harborsite.outbound import Client, Origin, OutboundError, Reader, Response, Unreachable, is_same_owner
from replication.errors import RemoteError

# Harbor knows its own kind by this name, and does not count the pulls of a replication.
USER_AGENT = "harbor-registry-client"
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_TOKEN_BYTES = 256 * 1024
_DAY = 86_400
_TOKEN_SECONDS = 60.0  # what a token is good for if the server does not say
_EARLY_SECONDS = 10  # how long before its end a token is not used any more
_ERROR_BYTES = 64 * 1024
_RETRY_AFTER = re.compile(r"\d{1,5}")


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry is, who we are there, and which certificates are good."""

    url: str
    username: str = ""
    password: str = ""
    verify: bool = True
    ca_certificate: str = ""


@dataclass(frozen=True, slots=True)
class _Challenge:
    """How the registry wants requests to be signed."""

    scheme: str  # basic or bearer
    realm: str = ""
    service: str = ""


class Session:
    """One registry's clients side; safe for threads."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.url = access.url.rstrip("/")
        self._origin = Origin.of(self.url)
        self._client = Client(verify=access.verify, ca_certificate=access.ca_certificate, user_agent=USER_AGENT)
        self._challenge: _Challenge | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def registry(
        self,
        method: str,
        url: str,
        *,
        scopes: tuple[str, ...] = (),
        accept: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        body: bytes | Reader = b"",
        length: int | None = None,
        redirects: int = 0,
    ) -> Response:
        """A request below `/v2/`, or to an address that the registry gave; `accept` are the good answers."""
        url = self.absolute(url)

        def send() -> Response:
            signed = {**(headers or {}), **self._signature(url, scopes)}
            return self._client.request(method, url, headers=signed, body=body, length=length, redirects=redirects)

        answer = send()
        if answer.status == 401 and 401 not in accept and self._learn(answer, scopes):
            answer.close()
            if not isinstance(body, bytes):  # it has been read; whoever sends it may try again
                raise Unreachable(_("{url} wants the request to be signed anew").format(url=self.url))
            answer = send()
        if answer.status not in accept:
            raise _refusal(method, answer)
        return answer

    def api(
        self, method: str, path: str, *, accept: Collection[int] = (200,), json: bytes = b"", signed: bool = True
    ) -> Response:
        """A request to a registry's own interface beside `/v2/`, signed with the bare credentials."""
        headers = {"Accept": "application/json"}
        if json:
            headers["Content-Type"] = "application/json"
        if signed and self.access.username:
            headers["Authorization"] = self._basic()
        answer = self._client.request(method, self.absolute(path), headers=headers, body=json)
        if answer.status not in accept:
            raise _refusal(method, answer)
        return answer

    def absolute(self, url: str) -> str:
        """A path as an address of this registry; an address stays what it is."""
        if "://" in url.partition("?")[0]:
            return url
        origin = f"{self._origin.scheme}://{self._origin.authority}"
        base = urlsplit(self.url).path if url.startswith(("/v2/", "/api/")) else ""
        return f"{origin}{base}{url}"

    def is_ours(self, url: str) -> bool:
        return is_same_owner(self._origin, Origin.of(url))

    def _basic(self) -> str:
        pair = f"{self.access.username}:{self.access.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _signature(self, url: str, scopes: tuple[str, ...]) -> dict[str, str]:
        challenge = self._challenge
        if challenge is None or not self.is_ours(url):
            return {}
        if challenge.scheme == "basic":
            return {"Authorization": self._basic()} if self.access.username else {}
        return {"Authorization": f"Bearer {self._token(challenge, scopes)}"}

    def _learn(self, answer: Response, scopes: tuple[str, ...]) -> bool:
        """Take in a challenge; False if it brings nothing new, so that asking again is useless."""
        challenge = _parse_challenge(answer.headers.get("WWW-Authenticate", ""))
        if challenge is None:
            return False
        with self._lock:
            known, self._challenge = self._challenge, challenge
            forgotten = self._tokens.pop(scopes, None)
        if challenge.scheme == "basic":
            return known != challenge and bool(self.access.username)
        return known != challenge or forgotten is not None

    def _token(self, challenge: _Challenge, scopes: tuple[str, ...]) -> str:
        with self._lock:
            token, until = self._tokens.get(scopes, ("", 0.0))
            if time.monotonic() < until:
                return token
            token, seconds = self._fetch_token(challenge, scopes)
            self._tokens[scopes] = (token, time.monotonic() + max(seconds - _EARLY_SECONDS, 1))
            return token

    def _fetch_token(self, challenge: _Challenge, scopes: tuple[str, ...]) -> tuple[str, float]:
        """A token from the realm; our credentials go there only if the realm is the registry's own."""
        query = [("service", challenge.service)] if challenge.service else []
        query += [("scope", scope) for scope in scopes]
        separator = "&" if "?" in challenge.realm else "?"
        url = challenge.realm + (separator + urlencode(query) if query else "")
        trusted = bool(self.access.username) and self.is_ours(url)
        headers = {"Authorization": self._basic()} if trusted else {}
        with self._client.request("GET", url, headers=headers) as answer:
            if answer.status != 200:
                raise _refusal("GET", answer)
            document = answer.json(_TOKEN_BYTES)
        found = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(found, str) or not found.isascii() or not found.isprintable():
            raise OutboundError(_("{url} gives no token").format(url=challenge.realm[:200]))
        return found, _lifetime(document.get("expires_in"))


def _lifetime(given: object) -> float:
    """Seconds that a token is good for, whatever the realm says about it."""
    return float(min(given, _DAY)) if isinstance(given, int | float) and given > 0 else _TOKEN_SECONDS


def _parse_challenge(header: str) -> _Challenge | None:
    scheme, _, rest = header.strip().partition(" ")
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
    if scheme.lower() == "basic":
        return _Challenge("basic")
    if scheme.lower() == "bearer" and "realm" in parameters:
        return _Challenge("bearer", parameters["realm"], parameters.get("service", ""))
    return None


def _refusal(method: str, answer: Response) -> RemoteError:
    """What the registry says, as far as it says anything that can be shown."""
    with answer:
        try:
            document = answer.json(_ERROR_BYTES)
        except OutboundError:
            document = None
        errors = document.get("errors") if isinstance(document, dict) else None
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        said = ": ".join(str(first[key]) for key in ("code", "message") if first.get(key))
        return RemoteError.of(
            method,
            answer.url,
            answer.status,
            "".join(char for char in said if char.isprintable())[:500],
            _pause(answer.headers.get("Retry-After", "")),
        )


def _pause(asked_for: str) -> float:
    """Seconds, which may also be given as the moment at which to come back."""
    if _RETRY_AFTER.fullmatch(asked_for):
        return float(asked_for)
    try:
        moment = parsedate_to_datetime(asked_for)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
