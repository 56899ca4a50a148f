"""Where a request comes from. Only the peer's address counts; forwarding headers can make it remote, never local."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

_FORWARDED_FOR = re.compile(r'for\s*=\s*"?([^",;]*)', re.IGNORECASE)


def client_address(meta: Mapping[str, Any]) -> str:
    """The peer's address, or behind a proxy on this machine the last forwarded one that is not of this machine.

    A proxy adds whom it hears at the end of what that one may have written there itself.
    """
    peer = str(meta.get("REMOTE_ADDR", ""))
    if not is_loopback(peer):
        return peer
    return next((entry for entry in _forwarded(meta) if not is_loopback(entry)), peer)


def is_loopback(address: str) -> bool:
    """Whether `address` is certainly this machine; what is no address is not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _forwarded(meta: Mapping[str, Any]) -> Iterator[str]:
    """What each header says, the newest entry first."""
    for header in ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP"):
        if value := meta.get(header):
            yield from (_bare(entry) for entry in reversed(str(value).split(",")))
    yield from (_bare(entry) for entry in reversed(_FORWARDED_FOR.findall(str(meta.get("HTTP_FORWARDED", "")))))


def _bare(entry: str) -> str:
    """Without port and brackets."""
    text = entry.strip().strip('"')
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else text
