"""The stream to a directory: a checked address, TLS, and an end in time.

libldap could do all of it, but it resolves names anew, waits for a TLS handshake without limit, and does not say what
is wrong with a certificate.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from pyasn1.codec.ber import decoder
from pyasn1.error import PyAsn1Error
from pyasn1_modules import rfc2251

from harborsite.errors import AppError
from harborsite.outbound.addresses import resolve
from harborsite.outbound.connections import tls_context
from projects.identity.ldap.errors import DirectoryError, SlowDirectory
from projects.identity.ldap.sources import Source

PORTS = {"ldap": 389, "ldaps": 636}
_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"  # RFC 4511, 4.14.1
_LONGEST_ANSWER = 4096
_PIECE = 65536


def connect(source: Source, *, deadline: float) -> socket.socket:
    """A socket that plain LDAP is spoken on, already inside of TLS where `source` wants that.

    `deadline` is one of `time.monotonic()`. Raises SlowDirectory when it is reached, and DirectoryError.
    """
    try:
        raw = _reached(source, deadline)
        if not source.is_encrypted:
            raw.settimeout(None)
            return raw
        try:
            if source.start_tls:
                _start_tls(raw, deadline)
            raw.settimeout(_left(deadline))
            context = tls_context(verify=source.verify_cert, ca_certificate=source.ca_certificates)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            inside = context.wrap_socket(raw, server_hostname=urlsplit(source.url).hostname)
        except BaseException:
            raw.close()
            raise
    except TimeoutError:
        text = _("{name}: no answer within {seconds} s (ldap_timeout)")
        raise SlowDirectory(text.format(name=source.name, seconds=source.timeout)) from None
    except ssl.SSLCertVerificationError as error:
        text = _("{name}: the certificate of {url} cannot be trusted: {reason}")
        raise DirectoryError(text.format(name=source.name, url=source.url, reason=error.verify_message)) from None
    except OSError as error:
        text = _("{name}: no connection to {url}: {reason}")
        reason = error.strerror or error
        raise DirectoryError(text.format(name=source.name, url=source.url, reason=reason)) from None
    except AppError as refused:
        raise DirectoryError(f"{source.name}: {refused.message}") from None
    near, far = socket.socketpair()
    threading.Thread(target=_relay, args=(inside, far, deadline), name="ldap-tls", daemon=True).start()
    return near


def _reached(source: Source, deadline: float) -> socket.socket:
    parts = urlsplit(source.url)
    reason: OSError | None = None
    for endpoint in resolve(parts.hostname or "", parts.port or PORTS[parts.scheme]):
        raw = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            raw.settimeout(_left(deadline))
            raw.connect(endpoint.sockaddr)
        except OSError as error:
            reason = error
            raw.close()
        else:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw
    raise reason or OSError(_("the name has no address"))


def _start_tls(raw: socket.socket, deadline: float) -> None:
    """Ask for TLS in the clear, which is all that is ever said in the clear."""
    raw.sendall(_START_TLS)
    answer = b""
    while len(answer) < _LONGEST_ANSWER:
        raw.settimeout(_left(deadline))
        piece = raw.recv(_LONGEST_ANSWER)
        if not piece:
            break
        answer += piece
        try:
            message, _rest = decoder.decode(answer, asn1Spec=rfc2251.LDAPMessage())
        except PyAsn1Error:
            continue
        operation = message["protocolOp"]
        if operation.getName() == "extendedResp" and int(operation["extendedResp"]["resultCode"]) == 0:
            return
        break
    raise OSError(_("the server does not do StartTLS"))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _relay(inside: ssl.SSLSocket, far: socket.socket, deadline: float) -> None:
    """Pass on what either side says until one hangs up or the time is over; both are closed then."""
    with suppress(OSError), inside, far, selectors.DefaultSelector() as selector:
        selector.register(inside, selectors.EVENT_READ)
        selector.register(far, selectors.EVENT_READ)
        while True:
            left = _left(deadline)
            ready = {inside} if inside.pending() else {key.fileobj for key, _events in selector.select(left)}
            for source, target in ((inside, far), (far, inside)):
                if source in ready:
                    source.settimeout(left)
                    target.settimeout(left)
                    piece = source.recv(_PIECE)
                    if not piece:
                        return
                    target.sendall(piece)
