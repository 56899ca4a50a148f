"""The key pair that signs registry tokens: made or checked by `prepare`, read once per process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from harborsite.files import write_whole

PRIVATE_KEY = "private_key.pem"
ROOT_CERTIFICATE = "root.crt"
_BITS = 2048
_LIFETIME = timedelta(days=3650)


class KeysRefused(Exception):
    """The key or the certificate cannot be used; the message names the file and the remedy."""


def ensure_keys(directory: Path, *, make: bool) -> bool:
    """Check the pair in `directory`, making what is missing if `make`; returns whether anything was made.

    The key comes first: a crash in between leaves a key without its certificate, which the next run adds. What is
    there is never replaced, because every registry that trusts the certificate would have to be told.
    """
    key_file, certificate_file = directory / PRIVATE_KEY, directory / ROOT_CERTIFICATE
    missing = [file for file in (key_file, certificate_file) if not file.is_file()]
    if missing and not make:
        raise KeysRefused(
            f"{missing[0]}: there is no such file, and customize_crt is off. Put your own {PRIVATE_KEY} and "
            f"{ROOT_CERTIFICATE} into {directory}, or set customize_crt = on."
        )
    if missing == [key_file]:
        raise KeysRefused(
            f"{key_file}: there is no such file, but its certificate {ROOT_CERTIFICATE} is there. Restore the key, or "
            "remove the certificate to have a new pair made."
        )
    if not key_file.is_file():
        _make_key(key_file)
    key = read_private_key(key_file)
    if not certificate_file.is_file():
        write_whole(certificate_file, _self_signed(key))
    _check_pair(key, certificate_file)
    key_file.chmod(0o600)
    return bool(missing)


def read_private_key(file: Path) -> rsa.RSAPrivateKey:
    """The signing key; raises KeysRefused."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeysRefused(f"{file}: cannot be read as a PEM private key without a password: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _BITS:
        raise KeysRefused(f"{file}: must be an RSA key of at least {_BITS} bits")
    return key


def _make_key(file: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_whole(file, pem)


def _self_signed(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "harbor-token-issuer")])
    start = datetime.now(UTC) - timedelta(minutes=5)  # a registry whose clock is a little behind accepts it too
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _check_pair(key: rsa.RSAPrivateKey, certificate_file: Path) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError) as error:
        raise KeysRefused(f"{certificate_file}: cannot be read as a PEM certificate: {error}") from None
    if certificate.public_key() != key.public_key():
        raise KeysRefused(
            f"{certificate_file}: is not the certificate of {PRIVATE_KEY}. Put the two that belong together."
        )
