"""LDAP servers in harbor.cfg: the keys `ldap_*` of the first one and `ldap_2_*` … `ldap_9_*` of further ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harborsite import configvalues as to
from harborsite.configvalues import _, key
from harborsite.shelltext import gettext

FIRST = "ldap"
NAMES = (FIRST, *(f"{FIRST}_{number}" for number in range(2, 10)))
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+")
_COMPARISON = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]*(:dn)?(:[A-Za-z0-9.-]+)?(=|~=|>=|<=|:=)|:dn:[A-Za-z0-9.-]+:=")
_VALUE = re.compile(r"([^()\\\0]|\\[0-9A-Fa-f]{2})*")
_SUBTREE_OF_HARBOR_1_2 = 3  # which counted from 1


def dn(value: str) -> str:
    """A distinguished name, or nothing."""
    from ldap.dn import is_dn  # costs start-up time where no directory is used

    if value and not is_dn(value):
        raise ValueError(gettext("must be a distinguished name such as ou=people,dc=example,dc=com"))
    return value


def attribute(value: str) -> str:
    if not _ATTRIBUTE.fullmatch(value):
        raise ValueError(gettext("must be the name of an attribute, such as uid, cn or sAMAccountName"))
    return value


def attribute_or_nothing(value: str) -> str:
    return attribute(value) if value else ""


def search_filter(value: str) -> str:
    """A filter of RFC 4515, in its parentheses; one without them gets them, as Harbor does it."""
    text = value.strip()
    if not text:
        return ""
    wrapped = text if text.startswith("(") else f"({text})"
    try:
        end = _end_of_filter(wrapped, 0, depth=0)
    except _BadFilterError as error:
        raise ValueError(
            gettext("must be an LDAP filter such as (objectClass=person): {error}").format(error=error)
        ) from None
    if end != len(wrapped):
        raise ValueError(gettext("must be one LDAP filter; it ends at {value!r}").format(value=wrapped[:end]))
    return wrapped


class _BadFilterError(Exception):
    pass


def _end_of_filter(text: str, start: int, *, depth: int) -> int:
    """Where the filter that starts at `start` ends."""
    if text[start : start + 1] != "(":
        raise _BadFilterError(f"'(' is missing before {text[start : start + 20]!r}")
    if depth > 50:
        raise _BadFilterError("it is nested too deeply")
    position = start + 1
    operator = text[position : position + 1]
    if operator and operator in "&|!":
        position += 1
        parts = 0
        while text[position : position + 1] == "(":
            position, parts = _end_of_filter(text, position, depth=depth + 1), parts + 1
        if parts == 0 or (operator == "!" and parts != 1):
            raise _BadFilterError(f"{operator!r} needs filters in parentheses after it")
    else:
        compared = _COMPARISON.match(text, position)
        if compared is None:
            raise _BadFilterError(f"{text[position : position + 20]!r} is no comparison")
        value = _VALUE.match(text, compared.end())
        position = value.end() if value else compared.end()
    if text[position : position + 1] != ")":
        raise _BadFilterError(f"')' is missing after {text[start:position]!r}")
    return position + 1


def search_scope(value: str) -> int:
    return min(to.integer(0, _SUBTREE_OF_HARBOR_1_2)(value), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One LDAP server as harbor.cfg has it; `name` is also the prefix of its keys."""

    name: str = FIRST
    url: str = key(
        "",
        to.url("ldap", "ldaps"),
        _(
            "LDAP server, ldap://host:389 or ldaps://host:636. Further servers have the same keys with a number: "
            "ldap_2_url … ldap_9_url."
        ),
    )
    start_tls: bool = key(False, to.switch, _("Whether an ldap:// connection is encrypted by StartTLS."))
    verify_cert: bool = key(True, to.switch, _("Whether the directory's certificate is checked."))
    ca_file: Path | None = key(
        None, Path, _("Certificates (PEM) that the directory's one is checked with; empty means those of the system.")
    )
    searchdn: str = key("", dn, _("DN that may search the directory; empty searches anonymously."))
    search_pwd: str = key("", to.text, _("Password of ldap_searchdn."))
    basedn: str = key("", dn, _("Where the search for a user starts."))
    filter: str = key("", search_filter, _("Further filter for users."))
    uid: str = key("cn", attribute, _("Attribute that holds the user name."))
    scope: int = key(2, search_scope, _("0 base, 1 one level, 2 subtree."))
    timeout: int = key(5, to.integer(1, 300), _("Seconds that a sign-in waits for the directory, in all."))
    group_basedn: str = key("", dn, _("Where the search for groups starts; empty means ldap_basedn."))
    group_filter: str = key(
        "", search_filter, _("Filter for groups. With it groups are searched for, nested ones included.")
    )
    group_gid: str = key("", attribute_or_nothing, _("Attribute that holds a group's name; empty means cn."))
    group_scope: int = key(2, search_scope, _("0 base, 1 one level, 2 subtree."))
    group_admin_dn: str = key("", dn, _("DN of the group whose members are administrators."))
    group_membership_attribute: str = key(
        "memberof", attribute, _("Attribute of a user that holds the DNs of the user's groups.")
    )

    @property
    def ca_certificates(self) -> str:
        """What `ca_file` holds, which was looked at when the configuration was read."""
        return self.ca_file.read_text(encoding="utf-8") if self.ca_file else ""

    def complaints(self) -> Iterator[tuple[str, str]]:
        """What does not fit together: a field, and what to do about it."""
        if self.url and not self.basedn:
            yield "basedn", f"is needed with {self.name}_url"
        if self.searchdn and not self.search_pwd:
            yield "search_pwd", f"is needed with {self.name}_searchdn: with an empty password a server lets anybody in"
        if self.start_tls and urlsplit(self.url).scheme == "ldaps":
            yield "start_tls", f"must be off with an ldaps:// address in {self.name}_url"
        if self.ca_file:
            try:
                text = self.ca_certificates
            except (OSError, UnicodeDecodeError) as error:
                yield "ca_file", f"{self.ca_file} cannot be read: {error}"
            else:
                if "-----BEGIN CERTIFICATE-----" not in text:
                    yield "ca_file", f"{self.ca_file} holds no certificate in PEM form"


KEYS: tuple[Field[Any], ...] = tuple(spec for spec in fields(Directory) if "parse" in spec.metadata)
_SUFFIXES = frozenset(spec.name for spec in KEYS)


def is_numbered_key(name: str) -> bool:
    """Whether `name` is a key of a further server."""
    server, _underscore, rest = name[: len("ldap_N")], name[len("ldap_N") : len("ldap_N_")], name[len("ldap_N_") :]
    return server in NAMES[1:] and _underscore == "_" and rest in _SUFFIXES
