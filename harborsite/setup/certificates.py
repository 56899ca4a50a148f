"""The server's certificate: making one with a CA of its own, and telling whether one can be used."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harborsite.config import Config
from harborsite.files import write_whole
from harborsite.server import tls
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

CA_LIFETIME: Final = timedelta(days=3650)
RENEW_BEFORE: Final = timedelta(days=30)
_SKEW: Final = timedelta(minutes=5)  # a client whose clock is a little behind accepts it, too
_ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
_CA_NAME: Final = "Harborsite CA"


@dataclass(frozen=True, slots=True)
class Files:
    """Where a server's certificate lies, with the CA that signed it beside."""

    certificate: Path
    key: Path

    @property
    def ca(self) -> Path:
        return self.certificate.with_name("ca.crt")

    @property
    def ca_key(self) -> Path:
        return self.certificate.with_name("ca.key")


def files(config: Config) -> Files:
    """What harbor.cfg names, else the usual place below the data volume."""
    usual = config.data_volume / "cert"
    return Files(config.ssl_cert or usual / "server.crt", config.ssl_cert_key or usual / "server.key")


# --- checking ---------------------------------------------------------------------------------------------


def check(config: Config) -> x509.Certificate | None:
    """The certificate with which https can be spoken, None with http; raises SetupError with key, file and remedy."""
    if not config.is_https:
        return None
    place = files(config)
    for name, file in (("ssl_cert", place.certificate), ("ssl_cert_key", place.key)):
        if not file.is_file():
            raise SetupError(
                gettext("{where}: {name}: there is no file {file}. Put it there, or run 'manage.py make_cert'.").format(
                    where=config.place(name), name=name, file=file
                )
            )
    certificate = _read_certificate(config, place.certificate)
    _check_key(config, place, certificate)
    _check_dates(config, certificate)
    return certificate


def _read_certificate(config: Config, file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise SetupError(
            gettext(
                "{where}: ssl_cert: {file} cannot be read as a PEM certificate: {reason}. Put the "
                "server's certificate there, followed by those that lead to its CA."
            ).format(where=config.place("ssl_cert"), file=file, reason=_reason(error))
        ) from None


def _check_key(config: Config, place: Files, certificate: x509.Certificate) -> None:
    where = f"{config.place('ssl_cert_key')}: ssl_cert_key: {place.key}"
    try:
        key = serialization.load_pem_private_key(place.key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(
            gettext("{where} cannot be read as a PEM private key without a password: {reason}.").format(
                where=where, reason=_reason(error)
            )
        ) from None
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise SetupError(
            gettext(
                "{where} is not the key of the certificate {certificate}. Put the key there that the "
                "certificate was made for, or run 'manage.py make_cert'."
            ).format(where=where, certificate=place.certificate)
        )
    try:
        tls.server_context(place.certificate, place.key)
    except OSError as error:
        raise SetupError(
            gettext("{where} and {certificate} cannot be used: {reason}.").format(
                where=where, certificate=place.certificate, reason=_reason(error)
            )
        ) from None


def _check_dates(config: Config, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    where = f"{config.place('ssl_cert')}: ssl_cert: {config.ssl_cert}"
    if certificate.not_valid_after_utc < now:
        raise SetupError(
            gettext(
                "{where} has expired at {date:%Y-%m-%d %H:%M} UTC. Put a new one there, or run "
                "'manage.py make_cert --renew' if that had made it."
            ).format(where=where, date=certificate.not_valid_after_utc)
        )
    if certificate.not_valid_before_utc > now:
        raise SetupError(
            gettext(
                "{where} is not valid before {date:%Y-%m-%d %H:%M} UTC. Correct this machine's clock, or wait."
            ).format(where=where, date=certificate.not_valid_before_utc)
        )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).split("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__


def _public(key: object) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public: bytes = key.public_bytes(serialization.Encoding.DER, spki)  # type: ignore[attr-defined]
    return public


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a client that asks for `name` finds it among the certificate's alternative names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wanted = _general_name(name)
    if isinstance(wanted, x509.IPAddress):
        return wanted.value in names.get_values_for_type(x509.IPAddress)
    host = name.lower()
    parent = "*." + host.partition(".")[2]
    return any(known.lower() in (host, parent) for known in names.get_values_for_type(x509.DNSName))


# --- making -----------------------------------------------------------------------------------------------


def make(*, config: Config, days: int, more_names: Sequence[str] = (), renew: bool = False) -> tuple[Files, bool]:
    """A server certificate signed by a CA beside it; returns where they are, and whether a new one was made.

    A certificate that serves is kept unless `renew`; one that this CA did not sign is never replaced. The CA is made
    once: clients that trust it take each certificate that follows.
    """
    place = files(config)
    place.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = list(dict.fromkeys(name.strip("[]").lower() for name in (config.hostname, *more_names, *_ALWAYS)))
    ca_exists = place.ca_key.is_file()
    if not ca_exists and (place.certificate.exists() or place.ca.exists()):
        raise SetupError(
            gettext(
                "{value} is there, and its CA's key {ca_key} is not: it was not made here, or the "
                "key was taken away. Move it away to have a new one made."
            ).format(value=place.certificate if place.certificate.exists() else place.ca, ca_key=place.ca_key)
        )
    ca, ca_key = _certificate_authority(place)
    key = _key(place.key)
    if place.certificate.exists() and not renew and _serves(place, ca, key, names):
        _offer(config, ca)
        return place, False
    write_whole(place.certificate, _signed(names, key, ca, ca_key, timedelta(days=days)))
    _offer(config, ca)
    return place, True


def _offer(config: Config, ca: x509.Certificate) -> None:
    """Have the portal and the API give the CA to those who need it."""
    config.ca_file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(config.ca_file, ca.public_bytes(serialization.Encoding.PEM))


def _serves(place: Files, ca: x509.Certificate, key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificates(place.certificate.read_bytes())[0]
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        raise SetupError(
            gettext("{certificate} was not signed by {ca}, and is left alone. Move it away to have one made.").format(
                certificate=place.certificate, ca=place.ca
            )
        ) from None
    return (
        _public(certificate.public_key()) == _public(key.public_key())
        and all(covers(certificate, name) for name in names)
        and certificate.not_valid_after_utc - RENEW_BEFORE > datetime.now(UTC)
    )


def _certificate_authority(place: Files) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The key comes first: a crash in between leaves a key, to which the next run makes the certificate."""
    key = _key(place.ca_key)
    if not place.ca.is_file():
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_CA_NAME} {x509.random_serial_number():x}"[:40])])
        builder = _builder(name, name, key, CA_LIFETIME).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = _usage(key_cert_sign=True, crl_sign=True)
        certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
        write_whole(place.ca, certificate.public_bytes(serialization.Encoding.PEM))
        place.ca.chmod(0o644)  # it is to be given to every client
    ca = x509.load_pem_x509_certificate(place.ca.read_bytes())
    if _public(ca.public_key()) != _public(key.public_key()):
        raise SetupError(
            gettext("{ca_key} is not the key of {ca}. Restore the key, or move both away.").format(
                ca_key=place.ca_key, ca=place.ca
            )
        )
    return ca, key


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    if not file.is_file():
        made = ec.generate_private_key(ec.SECP256R1())
        pkcs8 = serialization.PrivateFormat.PKCS8
        write_whole(file, made.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption()))
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(
            gettext("{file} cannot be read as a PEM private key without a password: {reason}.").format(
                file=file, reason=_reason(error)
            )
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SetupError(
            gettext("{file} was not made here, and is left alone. Move it away to have one made.").format(file=file)
        )
    return key


def _signed(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, ca.subject, key, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem) + ca.public_bytes(pem)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - _SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)
