"""Registry tokens: minted with the key from `prepare`, verified with the same key and one algorithm, whatever they say.

The claims and the header are Harbor's, so that an official registry which trusts the root certificate accepts them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db.models import Q

from harborsite.config import current
from projects import params
from projects.models import Project
from registry.auth.keys import PRIVATE_KEY, read_private_key
from registry.auth.scopes import DELETE, PULL, PUSH, REPOSITORY, Access, full_name

ISSUER = "harbor-token-issuer"
SERVICE = "harbor-registry"
ALGORITHM = "RS256"
LEEWAY = 60  # seconds that clocks may differ
_PROJECTS = "projects"  # our own claim, beside Harbor's: project name to id
_ID_ALPHABET = string.ascii_letters + string.digits
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token and what its holder is told about it."""

    token: str
    expires_in: int
    issued_at: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenPrincipal:
    """Whoever holds a token: may do what it says for as long as it lives, and nothing else, however public.

    Rights are held for projects: Harbor reads the entry of one repository as valid for the whole project.
    """

    username: str
    issued_at: int
    access: Mapping[str, frozenset[str]]
    project_ids: Mapping[str, int]

    pk = None
    is_superuser = False
    is_staff = False

    @property
    def is_authenticated(self) -> bool:
        """Anonymous visitors get tokens, too; theirs name nobody."""
        return self.username != ""

    @property
    def is_anonymous(self) -> bool:
        return not self.is_authenticated

    @property
    def is_active(self) -> bool:
        return self.is_authenticated

    def may(self, action: str, project: Project) -> bool:
        """Whether the token says `action`, and says it of this project rather than of a dead one of the same name."""
        return action in self.access.get(project.name, ()) and not self._predates(project)

    def _predates(self, project: Project) -> bool:
        """`iat` has whole seconds and clocks differ, hence the ids, which tell the two apart at once."""
        if self.issued_at + LEEWAY < project.creation_time.timestamp():
            return True
        return self.project_ids.get(project.name, project.pk) != project.pk

    def footing(self) -> Q:
        return Q(name__in=self.access)

    def granted_in(self, project: Project) -> frozenset[str]:
        return frozenset(f"repository:{action}" for action in (PULL, PUSH, DELETE) if self.may(action, project))

    def granted_system(self) -> frozenset[str]:
        return frozenset()


@cache
def signing_key() -> rsa.RSAPrivateKey:
    """The key of this process; raises KeysRefused where `prepare` has not made it."""
    return read_private_key(current().secret_dir / PRIVATE_KEY)


@cache
def _public_key() -> rsa.RSAPublicKey:
    return signing_key().public_key()


@cache
def key_id() -> str:
    """Docker's name for the key (libtrust): 240 bits of its SHA-256 in base32, in groups of four."""
    der = _public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def mint(*, subject: str, access: Sequence[Access] | None, projects: Mapping[str, int]) -> Minted:
    """Sign a token for `subject` (empty: nobody), valid for as many minutes as the administrator chose."""
    params.forget()  # a change counts at once, whichever process it was made in
    now, lifetime = int(time.time()), params.get(params.TOKEN_EXPIRATION) * 60
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": SERVICE,
        "exp": now + lifetime,
        "nbf": now,
        "iat": now,
        "jti": "".join(secrets.choice(_ID_ALPHABET) for _ in range(16)),
        "access": access,
    }
    if subject:
        claims["sub"] = subject
    if projects:
        claims[_PROJECTS] = projects
    token = jwt.encode(claims, signing_key(), algorithm=ALGORITHM, headers={"kid": key_id()})
    return Minted(token, lifetime, now)


def verify(token: str) -> TokenPrincipal | None:
    """Who holds `token`; None for one that is not ours, has expired or is not valid yet. Remembers good ones."""
    fingerprint = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
    known = _memory.get(fingerprint)
    if known is None:
        claims = _checked_claims(token)
        if claims is None:
            return None
        known = _memory.add(fingerprint, _principal(claims), int(claims["exp"]) + LEEWAY)
    return known


def forget() -> None:
    """Verify every token anew."""
    _memory.clear()


def _checked_claims(token: str) -> dict[str, Any] | None:
    """Nothing in the header chooses key or algorithm; extensions that must be understood (`crit`) are refused."""
    try:
        if "crit" in jwt.get_unverified_header(token):
            return None
        return jwt.decode(
            token,
            _public_key(),
            algorithms=[ALGORITHM],
            audience=SERVICE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "aud", "iss"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None


def _principal(claims: Mapping[str, Any]) -> TokenPrincipal:
    access: dict[str, frozenset[str]] = {}
    for entry in claims.get("access") or ():
        if entry["type"] == REPOSITORY:
            project = full_name(entry["name"]).partition("/")[0]
            access[project] = access.get(project, frozenset()) | _spelt_out(entry["actions"])
    return TokenPrincipal(claims.get("sub", ""), int(claims["iat"]), access, claims.get(_PROJECTS, {}))


def _spelt_out(actions: Sequence[str]) -> frozenset[str]:
    return frozenset(actions) | ({PULL, PUSH, DELETE} if "*" in actions else frozenset())


class _Memory:
    """Verified tokens by their hash, until they expire; the oldest goes when there are too many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[bytes, tuple[TokenPrincipal, int]] = {}
        self._lock = threading.Lock()

    def get(self, fingerprint: bytes) -> TokenPrincipal | None:
        principal, end = self._known.get(fingerprint, (None, 0))
        return principal if time.time() < end else None

    def add(self, fingerprint: bytes, principal: TokenPrincipal, end: int) -> TokenPrincipal:
        with self._lock:
            self._known.pop(fingerprint, None)
            while len(self._known) >= self._size:
                del self._known[next(iter(self._known))]
            self._known[fingerprint] = (principal, end)
        return principal

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


_memory = _Memory(_REMEMBERED)
