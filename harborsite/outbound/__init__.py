"""Every request that the server itself sends: to registries, webhooks, scanners, identity providers.

An address is resolved once, checked, and the checked address is the one that is connected to. Redirects are
followed only where the caller says so, each hop is checked again, and credentials stay with the origin they are for.
"""

from harborsite.outbound.client import Client, Reader, Response
from harborsite.outbound.errors import (
    AddressRefused,
    AnswerTooLarge,
    CertificateRefused,
    OutboundError,
    TransferBroken,
    Unreachable,
)
from harborsite.outbound.trust import Origin, is_same_owner

__all__ = [
    "AddressRefused",
    "AnswerTooLarge",
    "CertificateRefused",
    "Client",
    "Origin",
    "OutboundError",
    "Reader",
    "Response",
    "TransferBroken",
    "Unreachable",
    "is_same_owner",
]
