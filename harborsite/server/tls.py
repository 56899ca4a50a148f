"""How this server speaks TLS."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with this certificate; raises OSError (ssl.SSLError as well) where the two cannot be used.

    One context is for all connections of all web processes, so that a client can go on with a session.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    return ""
