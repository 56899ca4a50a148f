"""People of one directory, through django-auth-ldap.

A sign-in is one conversation on one connection:

1. bind as the account that may search,
2. one search for the person, which brings the groups of the membership attribute along,
3. only with a filter for groups, one search for the groups of the person and those that hold them, and one more for
   each further level of nesting,
4. bind as the person.

The password counts after all that, so that nobody waits for a second bind of the searching account.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

import ldap
from django.utils.translation import gettext as _
from django_auth_ldap.backend import LDAPBackend, _LDAPUser, ldap_error
from django_auth_ldap.config import LDAPGroupType, LDAPSearch, LDAPSettings
from ldap.controls import SimplePagedResultsControl
from ldap.dn import dn2str, str2dn
from ldap.filter import escape_filter_chars

from projects.identity.ldap.connection import Connection, close, open_connection, translated
from projects.identity.ldap.errors import DirectoryError, SlowDirectory
from projects.identity.ldap.sources import Source
from projects.models import User
from projects.services import onboarding
from projects.services.onboarding import Person

PAGE = 1000  # entries; what Active Directory gives at most without paging
MOST = 5000  # entries that a list holds
_DEEPEST = 10  # levels of nested groups
_TERMS = 200  # DNs in one filter
_REST_SECONDS = 5.0  # that a directory is left alone after it did not answer
# Answers to a person's own bind that mean "these credentials do not do", not "the server is broken".
REFUSALS = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,
    ldap.UNWILLING_TO_PERFORM,
    ldap.CONSTRAINT_VIOLATION,
    ldap.INVALID_DN_SYNTAX,
    ldap.NO_SUCH_OBJECT,
)

_resting: dict[Source, float] = {}


class Stranger(Enum):
    """That a directory does not know a name."""

    STRANGER = "stranger"


STRANGER: Final = Stranger.STRANGER


def canonical(dn: str) -> str:
    """A DN in one spelling: lower case, no spaces between its parts, one way of escaping."""
    try:
        parts = str2dn(dn)
    except ldap.DECODING_ERROR:
        return dn.strip().lower()
    return str(dn2str([[(kind, value.strip(), flags) for kind, value, flags in part] for part in parts])).lower()


class PagedSearch(LDAPSearch):  # type: ignore[misc]  # the library has no types
    """A search that fetches page after page, up to MOST entries."""

    def execute(self, connection: Connection, filterargs: Any = (), escape: bool = True) -> list[Any]:
        filterstr = self.filterstr % (self._escape_filterargs(filterargs) if escape else filterargs)
        control = SimplePagedResultsControl(False, size=PAGE, cookie="")
        found: list[Any] = []
        while True:
            message = connection.search_ext(self.base_dn, self.scope, filterstr, self.attrlist, serverctrls=[control])
            _kind, entries, _message, controls = connection.result3(message)
            found += entries
            cookies = [each.cookie for each in controls if isinstance(each, SimplePagedResultsControl)]
            if not cookies or not cookies[0] or len(found) >= MOST:
                return list(self._process_results(found))
            control.cookie = cookies[0]


class OneSearch(LDAPSearch):  # type: ignore[misc]  # the library has no types
    """A search for the one entry that there may be: a second one is enough to know that there are several."""

    def execute(self, connection: Connection, filterargs: Any = (), escape: bool = True) -> list[Any]:
        filterstr = self.filterstr % (self._escape_filterargs(filterargs) if escape else filterargs)
        try:
            message = connection.search_ext(self.base_dn, self.scope, filterstr, self.attrlist, sizelimit=2)
            entries = connection.result3(message)[1]
        except ldap.SIZELIMIT_EXCEEDED:
            raise DirectoryError(_("more than one entry fits {filter}").format(filter=filterstr)) from None
        return list(self._process_results(entries))


class Membership(LDAPGroupType):  # type: ignore[misc]  # the library has no types
    """Groups of a person: those of the membership attribute, or those that a search finds below the groups' base."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.group_name_attribute)
        self._source = source

    def user_groups(self, ldap_user: Any, group_search: Any) -> list[tuple[str, Mapping[str, Sequence[str]]]]:
        held = [canonical(dn) for dn in ldap_user.attrs.get(self._source.membership_attribute, [])]
        if not self._source.group_filter:
            return [(dn, {}) for dn in held]
        seen = dict.fromkeys([canonical(ldap_user.dn), *held])
        found: dict[str, Mapping[str, Sequence[str]]] = {}
        frontier = list(seen)
        names = "".join(f"(memberUid={_escaped(name)})" for name in ldap_user.attrs.get("uid", [])[:1])
        for _level in range(_DEEPEST):
            fresh = []
            for some in _chunks(frontier):
                terms = "".join(f"(member={_escaped(dn)})(uniqueMember={_escaped(dn)})" for dn in some)
                search = group_search.search_with_additional_term_string(f"(|{terms}{names})")
                for dn, attributes in search.execute(ldap_user.connection):
                    group = canonical(dn)
                    found.setdefault(group, attributes)
                    if group not in seen:
                        seen[group] = None
                        fresh.append(group)
            if not fresh:
                break
            frontier, names = fresh, ""
        return list(found.items())


class Directory(LDAPBackend):  # type: ignore[misc]  # the library has no types
    """django-auth-ldap over one source. An object is for one conversation and closes its connection in `close`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._connection: Connection | None = None
        self._settings = _settings(source)
        self._ldap = self  # what the library opens its connections with

    def initialize(self, uri: str, **_options: Any) -> Connection:
        self._connection = open_connection(self.source)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            close(self._connection)

    def authenticate_ldap_user(self, ldap_user: Any, password: str) -> User | None:
        """Groups are looked up before the password is tried, while the connection is the searching account's."""
        ldap_user.group_dns  # noqa: B018 - reading it asks the server
        user: User | None = ldap_user.authenticate(password)
        return user

    def get_or_build_user(self, username: str, ldap_user: Any) -> tuple[User, bool]:
        """Asked by the library once the password is right."""
        return onboarding.welcome(source=self.source.name, person=self.person(ldap_user)), False

    def entry(self, username: str) -> Any:
        """The library's view of a person; its `dn` is None where there is nobody of that name."""
        return _LDAPUser(self, username=username)

    def person(self, entry: Any) -> Person:
        """Who an entry is, with all groups."""
        return self.person_of(entry.dn, entry.attrs, frozenset(entry.group_dns))

    def person_of(self, dn: str, found: Mapping[str, Sequence[str]], groups: frozenset[str] = frozenset()) -> Person:
        """As Harbor reads an entry: the name is what the directory has, whatever case it was typed in."""
        source = self.source
        held = groups | {canonical(dn) for dn in found.get(source.membership_attribute, [])}
        return Person(
            username=first_of(found, source.uid).replace(",", "_"),
            realname=first_of(found, "cn") or first_of(found, "uid"),
            email=first_of(found, "mail") or first_of(found, "email"),
            dn=dn,
            groups=groups,
            is_admin=bool(source.group_admin_dn) and canonical(source.group_admin_dn) in held,
        )


def _settings(source: Source) -> Any:
    settings = LDAPSettings()
    user_filter = f"({source.uid}=%(user)s)"
    if source.filter:
        user_filter = f"(&{literal(source.filter)}{user_filter})"
    settings.USER_SEARCH = OneSearch(source.base_dn, source.scope, user_filter, attributes(source))
    settings.GROUP_SEARCH = group_search(source)
    settings.GROUP_TYPE = Membership(source)
    settings.BIND_DN, settings.BIND_PASSWORD = source.search_dn, source.search_password
    settings.ALWAYS_UPDATE_USER = False  # what is known of the person is kept by `onboarding`
    return settings


def group_search(source: Source) -> Any:
    """The search for groups, to be narrowed."""
    return PagedSearch(
        source.group_base_dn or source.base_dn,
        source.group_scope,
        literal(source.group_filter or "(objectClass=*)"),
        [source.group_name_attribute, "cn"],
    )


def attributes(source: Source) -> list[str]:
    """What is read of a person's entry."""
    return [source.uid, "uid", "cn", "mail", "email", source.membership_attribute]


def literal(text: str) -> str:
    """For a filter that the library formats with `%`."""
    return text.replace("%", "%%")


def _escaped(value: str) -> str:
    return literal(escape_filter_chars(value))


def first_of(entry: Mapping[str, Sequence[str]], attribute: str) -> str:
    """The first value of an attribute, if there is one that is text."""
    return next((value for value in entry.get(attribute, []) if isinstance(value, str)), "")


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _TERMS):
        yield values[start : start + _TERMS]


def _raise(context: str, exception: ldap.LDAPError, **_more: Any) -> None:
    """The library would take a server that is broken for a wrong password; its handlers may raise."""
    if not (context == "authenticate" and isinstance(exception, REFUSALS)):
        raise exception


ldap_error.connect(_raise, sender=Directory, dispatch_uid="projects.identity.ldap")


@contextmanager
def conversation(source: Source) -> Iterator[Directory]:
    """One conversation with a directory; raises DirectoryError, at once where it did not answer a moment ago."""
    if time.monotonic() < _resting.get(source, 0.0):
        raise DirectoryError(_("{name}: left alone, it did not answer a moment ago").format(name=source.name))
    directory = Directory(source)
    try:
        with translated(source):
            yield directory
    except SlowDirectory:
        _resting[source] = time.monotonic() + _REST_SECONDS
        raise
    finally:
        directory.close()


def sign_in(source: Source, *, username: str, password: str) -> User | Stranger | None:
    """The account of who brings these credentials; None if they are wrong, STRANGER if the name is not known."""
    with conversation(source) as directory:
        entry = directory.entry(username)
        if entry.dn is None:
            return STRANGER
        return directory.authenticate_ldap_user(entry, password)


def forget() -> None:
    """Ask every directory again at once."""
    _resting.clear()
