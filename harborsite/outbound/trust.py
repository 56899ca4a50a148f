"""Whom credentials are for: origins, and hosts of one owner."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from publicsuffixlist import PublicSuffixList

from harborsite.outbound.errors import OutboundError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a connection is made to and what credentials belong to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute http or https address; raises OutboundError for anything else."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in PORTS or "@" in parts.netloc or not _is_plain(url):
            raise OutboundError(_("{url} is no address of http or https").format(url=url[:200]))
        return cls(parts.scheme, host.rstrip(".").lower(), port or PORTS[parts.scheme])

    @property
    def authority(self) -> str:
        """As in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "\\" not in url


def is_same_owner(one: Origin, other: Origin) -> bool:
    """Whether credentials for `one` may go to `other`: the same host or registrable domain, and no less private."""
    if one.scheme == "https" and other.scheme != "https":
        return False
    if one.host == other.host:
        return True
    if _is_address(one.host) or _is_address(other.host):
        return False
    domain = _suffixes().privatesuffix(one.host)
    return domain is not None and domain == _suffixes().privatesuffix(other.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
