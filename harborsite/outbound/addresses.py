"""Which addresses the server may call: public ones, and those of the networks that harbor.cfg names."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from harborsite.config import current
from harborsite.outbound.errors import AddressRefused, Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked address to connect to; nothing is resolved again on the way."""

    family: int
    sockaddr: tuple[str | int | bytes, ...]  # as the resolver gives it


def resolve(host: str, port: int) -> Sequence[Endpoint]:
    """The addresses of `host`, if the server may call every one of them.

    The resolver also reads the odd spellings of an address (decimal, octal, hexadecimal), so that what is checked
    is always what would be connected to.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreachable(_("the name {host} cannot be resolved: {reason}").format(host=host, reason=reason)) from None
    endpoints = []
    for family, _kind, _protocol, _name, sockaddr in found:
        address = ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])
        if not is_allowed(address, current().allowed_networks):
            message = (
                _("{address} is not in allowed_networks of harbor.cfg")
                if host == str(address)
                else _("{host} is {address}, which is not in allowed_networks of harbor.cfg")
            )
            raise AddressRefused(message.format(host=host, address=address))
        endpoints.append(Endpoint(family, sockaddr))
    return endpoints


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Public, or in one of `networks`; loopback and link-local only in a network that is nothing else.

    An IPv4 address inside an IPv6 one is judged as what it leads to.
    """
    address = _embedded(address) or address
    here = [network for network in networks if network.version == address.version and address in network]
    if _is_special(address):
        return any(_is_special(network) for network in here)
    if address.is_multicast or address.is_reserved:
        return False
    return address.is_global or bool(here)


def _is_special(place: Address | Network) -> bool:
    return place.is_loopback or place.is_link_local or place.is_unspecified


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        return address.teredo[1]
    if int(address) >> 32 == 0 and int(address) > 1:  # IPv4-compatible, ::a.b.c.d
        return ipaddress.IPv4Address(int(address))
    return address.ipv4_mapped or address.sixtofour
