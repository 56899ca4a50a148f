"""What can go wrong on the way to another server; a person who named that server is told so as a bad request."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from harborsite.errors import BadRequest


class OutboundError(BadRequest):
    default_message = _("the other server cannot be used")


class AddressRefused(OutboundError):
    """The address is not one that the server may call; allowed_networks in harbor.cfg decides."""

    default_message = _("the server may not call this address")


class CertificateRefused(OutboundError):
    default_message = _("the other server's certificate cannot be trusted")


class Unreachable(OutboundError):
    """No connection, or no answer in time; another try may help."""

    default_message = _("the other server cannot be reached")


class TransferBroken(Unreachable):
    """The connection ended in the middle of a body."""

    default_message = _("the connection broke in the middle of a transfer")


class AnswerTooLarge(OutboundError):
    default_message = _("the other server's answer is too large")
