"""Tokens of our own and forged ones: which of them the registry believes, and for what."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from projects.models import Project, User
from registry.auth import tokens
from registry.auth.tokens import TokenPrincipal
from tests.factories import make_project

Claims = dict[str, Any]
PULL = [{"type": "repository", "name": "library/app", "actions": ["pull"]}]


def claims(**changes: Any) -> Claims:
    """What a good token says; a change to None leaves the claim out."""
    now = int(time.time())
    good: Claims = {
        "iss": "harbor-token-issuer",
        "sub": "bob",
        "aud": "harbor-registry",
        "exp": now + 1800,
        "nbf": now,
        "iat": now,
        "jti": "0123456789abcdef",
        "access": PULL,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(body: Claims, header: Claims | None = None, key: rsa.RSAPrivateKey | None = None) -> str:
    """A token by hand, as no library would make some of these."""
    text = part({"alg": "RS256", "typ": "JWT", **(header or {})}) + "." + part(body)
    signature = (key or tokens.signing_key()).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{part(signature)}"


@pytest.fixture(scope="module")
def foreign_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, shape)


def test_a_good_token_is_believed() -> None:
    for header in ({}, {"kid": tokens.key_id()}, {"kid": "anything"}):
        holder = tokens.verify(sign(claims(), header))
        assert holder is not None
        assert (holder.username, holder.is_authenticated) == ("bob", True)
        assert holder.access == {"library": {"pull"}}
        assert not holder.granted_system()


def test_what_the_service_mints_is_believed(db: None) -> None:
    minted = tokens.mint(subject="robot$library+ci", access=None, projects={})
    holder = tokens.verify(minted.token)
    assert holder is not None
    assert (holder.username, holder.access) == ("robot$library+ci", {})


def test_a_token_of_nobody_names_nobody() -> None:
    holder = tokens.verify(sign(claims(sub=None)))
    assert holder is not None
    assert (holder.username, holder.is_authenticated) == ("", False)


def test_a_token_without_signature_is_refused() -> None:
    for alg in ("none", "None", "NONE", "", "RS256"):
        unsigned = part({"alg": alg, "typ": "JWT"}) + "." + part(claims()) + "."
        assert tokens.verify(unsigned) is None, alg


def test_the_public_key_is_no_shared_secret() -> None:
    pem = public_pem(tokens.signing_key())
    spaced = b"\n" + pem + b"\n"
    for secret in (pem, spaced, pem.strip(), b"", b"\x00"):
        for alg in ("HS256", "RS256"):
            text = part({"alg": alg, "typ": "JWT"}) + "." + part(claims())
            code = hmac.HMAC(secret or b"\x00", hashes.SHA256())
            code.update(text.encode())
            assert tokens.verify(f"{text}.{part(code.finalize())}") is None


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "ES256", "HS256", "EdDSA", "rs256", None, ["RS256"], 1])
def test_one_algorithm_is_believed_whatever_the_header_says(alg: Any) -> None:
    assert tokens.verify(sign(claims(), {"alg": alg})) is None


def test_a_foreign_key_is_not_believed_however_it_is_announced(foreign_key: rsa.RSAPrivateKey) -> None:
    numbers = foreign_key.public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    jwk = {"kty": "RSA", "n": part(numbers.n.to_bytes(size, "big")), "e": "AQAB", "kid": tokens.key_id()}
    headers: list[Claims] = [
        {},
        {"kid": tokens.key_id()},
        {"kid": tokens.key_id(), "jwk": jwk},
        {"jku": "http://127.0.0.1:9/keys.json"},
        {"x5u": "http://127.0.0.1:9/chain.pem"},
        {"x5c": [base64.b64encode(public_pem(foreign_key)).decode()]},
        {"kid": "../../dev/null"},
        {"kid": None},
    ]
    for header in headers:
        assert tokens.verify(sign(claims(), header, foreign_key)) is None, header


def test_announced_keys_are_ignored_on_a_good_token(foreign_key: rsa.RSAPrivateKey) -> None:
    assert tokens.verify(sign(claims(), {"jku": "http://127.0.0.1:9/keys.json", "jwk": {"kty": "oct"}}))


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "x", None, {"a": 1}])
def test_critical_extensions_are_refused(crit: Any) -> None:
    assert tokens.verify(sign(claims(), {"crit": crit, "b64": False})) is None


def at(seconds: int) -> int:
    """A moment, so many seconds from now."""
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -61},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 600},
        {"iat": 600},
        {"iat": None},
        {"iat": "yesterday"},
        {"aud": "another-registry"},
        {"aud": ""},
        {"aud": None},
        {"aud": 1},
        {"iss": "another-issuer"},
        {"iss": None},
        {"iss": ["harbor-token-issuer"]},
        {"sub": 1},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_here_and_now_is_refused(changes: Claims) -> None:
    """A number of seconds counts from now."""
    times = {"exp", "nbf", "iat"}
    wrong = {n: at(value) if n in times and isinstance(value, int) else value for n, value in changes.items()}
    assert tokens.verify(sign(claims(**wrong))) is None


def test_clocks_may_differ_by_a_minute() -> None:
    now = int(time.time())
    assert tokens.verify(sign(claims(exp=now - 50)))
    assert tokens.verify(sign(claims(nbf=now + 50, iat=now + 50)))


def test_every_changed_character_is_noticed() -> None:
    token = sign(claims())
    for position in range(0, len(token) - 2, 7):  # the last character holds spare bits
        other = "A" if token[position] != "A" else "B"
        assert tokens.verify(token[:position] + other + token[position + 1 :]) is None, position


def test_the_parts_of_two_tokens_do_not_mix() -> None:
    weak, strong = sign(claims()).split("."), sign(claims(sub="admin")).split(".")
    assert tokens.verify(".".join((weak[0], strong[1], weak[2]))) is None


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "abc.def.ghi",
        "é.é.é",
        "\udcff",
        "x" * 100_000,
        "." * 10_000,
        part(b"[" * 50_000) + ".e30.AA",
        part(b'{"alg":' * 20_000) + ".e30.AA",
        part(b"null") + ".e30.AA",
        part(b"[]") + "." + part(b"[]") + ".AA",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_what_is_no_token_is_refused_quietly(garbage: str) -> None:
    assert tokens.verify(garbage) is None


def test_claims_that_are_no_object_are_refused() -> None:
    bodies: list[Any] = [[], "bob", 1, None]
    for body in bodies:
        assert tokens.verify(sign(body)) is None


def test_a_remembered_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    token = sign(claims())
    assert tokens.verify(token) is tokens.verify(token), "verified once"
    later = time.time() + 1800 + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert tokens._memory.get(hashlib.sha256(token.encode()).digest()) is None


def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tokens._Memory(10)
    holder = TokenPrincipal("bob", 0, {}, {})
    for number in range(100):
        memory.add(bytes([number]), holder, at(100))
    assert len(memory._known) == 10
    assert memory.get(bytes([99])) is holder


def test_a_star_means_the_three_of_them() -> None:
    holder = tokens.verify(sign(claims(access=[{"type": "repository", "name": "library/app", "actions": ["*"]}])))
    assert holder is not None
    assert {"pull", "push", "delete"} <= holder.access["library"]


def test_an_entry_of_another_kind_grants_nothing() -> None:
    entries = [{"type": kind, "name": "library/app", "actions": ["pull"]} for kind in ("registry", "plugin", "")]
    holder = tokens.verify(sign(claims(access=entries)))
    assert holder is not None
    assert not holder.access


# --- Tokens and the projects that they speak of -----------------------------------------------------------


@pytest.fixture
def holder_of() -> Callable[..., TokenPrincipal]:
    def holder(**changes: Any) -> TokenPrincipal:
        found = tokens.verify(sign(claims(**changes)))
        assert found is not None
        return found

    return holder


def test_a_token_speaks_of_its_project_alone(
    library: Project, commons: Project, holder_of: Callable[..., TokenPrincipal]
) -> None:
    holder = holder_of()
    assert holder.may("pull", library)
    assert not holder.may("push", library)
    assert not holder.may("pull", commons), "however public: an under-scoped token is no token"
    assert list(Project.objects.filter(holder.footing())) == [library]
    assert holder.granted_in(library) == {"repository:pull"}


def test_a_token_is_no_older_than_its_project(library: Project, holder_of: Callable[..., TokenPrincipal]) -> None:
    made = library.creation_time
    for age, valid in ((0, True), (30, True), (90, False), (86400, False)):
        holder = holder_of(iat=int((made - timedelta(seconds=age)).timestamp()))
        assert holder.may("pull", library) is valid, age


def test_a_token_of_a_deleted_project_is_worth_nothing_in_a_new_one_of_the_same_name(alice: User) -> None:
    """At once, although both were made within the minute that clocks may differ by."""
    first = make_project("phoenix", alice)
    access: Any = [{"type": "repository", "name": "phoenix/app", "actions": ["pull", "push"]}]
    minted = tokens.mint(subject="alice", access=access, projects={"phoenix": first.pk})
    holder = tokens.verify(minted.token)
    assert holder is not None
    assert holder.may("pull", first)
    first.delete()  # the database gives no id away twice
    second = make_project("phoenix", alice)
    assert not holder.may("pull", second)


def test_the_key_of_the_token_is_the_one_of_the_certificate() -> None:
    """What an official registry is given to trust."""
    from cryptography import x509

    from harborsite.config import current
    from registry.auth.keys import ROOT_CERTIFICATE

    certificate = x509.load_pem_x509_certificate((current().secret_dir / ROOT_CERTIFICATE).read_bytes())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert jwt.decode(sign(claims()), key, algorithms=["RS256"], audience="harbor-registry")["sub"] == "bob"
