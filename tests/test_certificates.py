"""https: `make_cert`, and the certificates with which the server does not start."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harborsite import config as boot
from harborsite.setup import SetupError, certificates, readiness

HTTPS = "hostname = reg.example\nui_url_protocol = https\nssl_cert = cert/server.crt\nssl_cert_key = cert/server.key\n"


@pytest.fixture
def config(tmp_path: Path) -> boot.Config:
    file = tmp_path / "harbor.cfg"
    file.write_text(HTTPS)
    return boot.load(file, {})


@pytest.fixture
def place(config: boot.Config) -> certificates.Files:
    """A certificate that serves."""
    return certificates.make(config=config, days=365)[0]


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def refusal(config: boot.Config) -> str:
    with pytest.raises(SetupError) as refused:
        certificates.check(config)
    return str(refused.value)


def valid(place: certificates.Files, start: timedelta, end: timedelta) -> None:
    """Put a certificate of the same key there, valid from `start` to `end` from now."""
    key = serialization.load_pem_private_key(place.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name, now = read(place.certificate).subject, datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .sign(key, hashes.SHA256())
    )
    place.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


# --- making -----------------------------------------------------------------------------------------------


def test_the_certificate_is_of_the_hostname_and_of_this_machine(config: boot.Config, place: certificates.Files) -> None:
    made, now = read(place.certificate), datetime.now(UTC)
    for name in ("reg.example", "REG.example", "localhost", "127.0.0.1", "::1"):
        assert certificates.covers(made, name), name
    for name in ("other.example", "example", "127.0.0.2"):
        assert not certificates.covers(made, name), name
    assert timedelta(days=364) < made.not_valid_after_utc - now < timedelta(days=366)
    assert certificates.check(config) == made
    assert (place.key.stat().st_mode & 0o777, place.ca_key.stat().st_mode & 0o777) == (0o600, 0o600)


def test_a_client_that_trusts_the_ca_accepts_it_to_the_letter(place: certificates.Files) -> None:
    """OpenSSL's strict rules are those of Go's, and so of Docker's."""
    context = ssl.create_default_context(cafile=str(place.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place.certificate, place.key)
    ours, theirs = (ssl.MemoryBIO(), ssl.MemoryBIO()), None
    client = context.wrap_bio(ours[0], ours[1], server_hostname="reg.example")
    theirs = server.wrap_bio(ours[1], ours[0], server_side=True)
    steps: list[Callable[[], None]] = [client.do_handshake, theirs.do_handshake] * 3
    for step in steps:
        try:
            step()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"
    assert client.getpeercert()


def test_again_it_is_kept_until_it_no_longer_serves(config: boot.Config, place: certificates.Files) -> None:
    first, ca = place.certificate.read_bytes(), place.ca.read_bytes()
    assert certificates.make(config=config, days=365) == (place, False)
    assert place.certificate.read_bytes() == first
    assert certificates.make(config=config, days=365, more_names=["10.0.0.1"]) == (place, True)
    assert certificates.covers(read(place.certificate), "10.0.0.1")
    assert certificates.make(config=config, days=20, renew=True) == (place, True)
    assert certificates.make(config=config, days=365) == (place, True)  # it was about to expire
    assert place.ca.read_bytes() == ca


@pytest.mark.parametrize("lost", ["ca", "certificate", "key"])
def test_a_making_that_was_broken_off_is_gone_on_with(
    config: boot.Config, place: certificates.Files, lost: str
) -> None:
    if lost == "ca":  # the next thing that is made
        place.certificate.unlink()
    getattr(place, lost).unlink()
    certificates.make(config=config, days=365)
    assert certificates.check(config)


def test_a_certificate_of_somebody_else_is_never_replaced(config: boot.Config, place: certificates.Files) -> None:
    valid(place, timedelta(), timedelta(days=1))
    before = place.certificate.read_bytes()
    with pytest.raises(SetupError, match=r"was not signed by .*ca\.crt, and is left alone"):
        certificates.make(config=config, days=365)
    place.ca_key.unlink()
    with pytest.raises(SetupError, match="Move it away to have a new one made"):
        certificates.make(config=config, days=365, renew=True)
    assert place.certificate.read_bytes() == before


# --- checking ---------------------------------------------------------------------------------------------


def test_http_needs_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "harbor.cfg").write_text("ssl_cert = /nowhere\n")
    assert certificates.check(boot.load(tmp_path / "harbor.cfg", {})) is None


def test_a_missing_file_is_named_with_its_key_and_line(config: boot.Config) -> None:
    assert refusal(config) == (
        f"{config.source}:3: ssl_cert: there is no file {config.ssl_cert}. Put it there, or run 'manage.py make_cert'."
    )


def test_a_key_that_does_not_fit_is_refused(config: boot.Config, place: certificates.Files) -> None:
    place.key.unlink()
    certificates._key(place.key)
    said = refusal(config)
    assert said.startswith(f"{config.source}:4: ssl_cert_key: {place.key} is not the key of the certificate")
    assert "Put the key there that the certificate was made for" in said


def test_a_key_with_a_password_is_refused_without_asking_for_it(config: boot.Config, place: certificates.Files) -> None:
    key = serialization.load_pem_private_key(place.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    place.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    assert "ssl_cert_key" in refusal(config)
    assert "without a password" in refusal(config)


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_what_is_no_pem_is_refused(config: boot.Config, place: certificates.Files, name: str) -> None:
    getattr(place, name).write_text("no PEM\n")
    assert f"{getattr(place, name)} cannot be read as a PEM" in refusal(config)


def test_an_expired_certificate_is_refused_with_the_date(config: boot.Config, place: certificates.Files) -> None:
    valid(place, timedelta(days=-2), timedelta(days=-1))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert f"ssl_cert: {place.certificate} has expired at {yesterday:%Y-%m-%d}" in refusal(config)
    assert "make_cert --renew" in refusal(config)


def test_a_certificate_of_the_future_is_refused(config: boot.Config, place: certificates.Files) -> None:
    valid(place, timedelta(days=1), timedelta(days=2))
    assert "is not valid before" in refusal(config)
    assert "clock" in refusal(config)


# --- the data volume --------------------------------------------------------------------------------------


def test_a_volume_that_is_not_there_is_named_with_its_key(config: boot.Config) -> None:
    with pytest.raises(SetupError, match=r"data_volume: .* cannot be written to: No such file or directory\. Mount"):
        readiness.check_storage(config)
