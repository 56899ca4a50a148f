"""Connections to a directory, with a hard limit on the time of a whole conversation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ldap
from django.utils.translation import gettext as _
from ldap.ldapobject import SimpleLDAPObject

from projects.identity.ldap.errors import DirectoryError, SlowDirectory
from projects.identity.ldap.sources import Source
from projects.identity.ldap.transport import connect

# libldap connects by itself where a stream is lost. It is to find nothing: it would speak without TLS.
_NOWHERE = "ldapi://%2Fdev%2Fnull%2Fnowhere"


class Connection(SimpleLDAPObject):  # type: ignore[misc]  # the library has no types
    """A connection on which every wait ends at one deadline, however many operations there are."""

    def __init__(self, stream: int, *, deadline: float) -> None:
        super().__init__(_NOWHERE, fileno=stream)
        self._deadline = deadline

    def result4(self, msgid: int = ldap.RES_ANY, all: int = 1, timeout: float | None = None, **more: Any) -> Any:
        """Every operation waits here for its answer; `timeout` is what is left, whatever the caller says."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ldap.TIMEOUT
        return super().result4(msgid, all, left, **more)


def open_connection(source: Source) -> Connection:
    """A connection that is not bound yet, encrypted already where `source` wants that. Raises DirectoryError."""
    deadline = time.monotonic() + source.timeout
    stream = connect(source, deadline=deadline)
    connection = Connection(stream.detach(), deadline=deadline)
    connection.protocol_version = ldap.VERSION3
    connection.set_option(ldap.OPT_REFERRALS, 0)  # credentials go to the server that was named, to no other
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, float(source.timeout))
    connection.set_option(ldap.OPT_TIMEOUT, float(source.timeout))
    return connection


@contextmanager
def bound(source: Source) -> Iterator[Connection]:
    """A connection of the account that may search; closed at the end."""
    connection = open_connection(source)
    try:
        with translated(source):
            connection.simple_bind_s(source.search_dn, source.search_password)
        yield connection
    finally:
        close(connection)


def close(connection: Connection) -> None:
    with suppress(ldap.LDAPError):
        connection.unbind_s()


@contextmanager
def translated(source: Source) -> Iterator[None]:
    """Turn what LDAP reports into DirectoryError."""
    try:
        yield
    except ldap.LDAPError as error:
        is_slow = isinstance(error, (ldap.TIMEOUT, ldap.TIMELIMIT_EXCEEDED))
        raise (SlowDirectory if is_slow else DirectoryError)(explained(source, error)) from None


def explained(source: Source, error: ldap.LDAPError) -> str:
    """What went wrong, in the words of who set the server up."""
    match error:
        case ldap.TIMEOUT() | ldap.TIMELIMIT_EXCEEDED():
            text = _("no answer within {seconds} s (ldap_timeout)").format(seconds=source.timeout)
        case ldap.SERVER_DOWN() | ldap.CONNECT_ERROR():
            text = _("no connection to {url}: {reason}").format(url=source.url, reason=_reason(error))
        case ldap.INVALID_CREDENTIALS() | ldap.INAPPROPRIATE_AUTH() | ldap.UNWILLING_TO_PERFORM():
            text = _("{dn} is not let in: wrong DN or password ({reason})").format(
                dn=source.search_dn or _("anonymous"), reason=_reason(error)
            )
        case ldap.NO_SUCH_OBJECT():
            text = _("the server knows no entry {dn}").format(dn=source.base_dn)
        case ldap.INSUFFICIENT_ACCESS():
            text = _("{dn} may not search there").format(dn=source.search_dn or _("anonymous"))
        case _other:
            text = _reason(error)
    return f"{source.name}: {text}"


def _reason(error: ldap.LDAPError) -> str:
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    texts = [str(details[part]) for part in ("desc", "info") if details.get(part)]
    return ", ".join(texts) or type(error).__name__
