"""Which LDAP servers there are, and in which order users are looked for in them.

The first server is set at run time, with harbor.cfg's `ldap_*` as initial values, as in Harbor; further ones
(`ldap_2_*` …) are in harbor.cfg alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harborsite import configvalues as to
from harborsite import directories
from harborsite.config import current
from projects import params


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One LDAP server. `timeout` is in seconds and for a whole conversation; filters are in parentheses or empty."""

    name: str = directories.FIRST
    url: str
    base_dn: str = ""
    search_dn: str = ""
    search_password: str = field(default="", repr=False)
    start_tls: bool = False
    verify_cert: bool = True
    ca_certificates: str = ""
    filter: str = ""
    uid: str = "cn"
    scope: int = 2
    timeout: int = 5
    group_base_dn: str = ""
    group_filter: str = ""
    group_name_attribute: str = "cn"
    group_scope: int = 2
    group_admin_dn: str = ""
    membership_attribute: str = "memberof"

    @property
    def is_encrypted(self) -> bool:
        return self.start_tls or self.url.lower().startswith("ldaps:")


def configured() -> list[Source]:
    """Every server that has an address."""
    further = [_of_file(server) for server in current().directories if server.name != directories.FIRST]
    return [source for source in (first(), *further) if source.url]


def order() -> Sequence[str]:
    """Names of the sources that are active, `database` among them, in the order in which they are asked."""
    chosen = to.sources(params.get(params.SIGN_IN_SOURCES))
    return chosen or to.sources_of(params.get(params.AUTH_MODE), [source.name for source in configured()])


def active() -> list[Source]:
    """The servers that people sign in with, in order."""
    by_name = {source.name: source for source in configured()}
    return [by_name[name] for name in order() if name in by_name]


def database_is_active() -> bool:
    """Whether accounts of the database sign in; the built-in administrator does in any case."""
    return to.DATABASE in order()


def named(name: str) -> Source | None:
    """An active server by its name."""
    return next((source for source in active() if source.name == name), None)


def first() -> Source:
    """The server that is set at run time; its address is empty where there is none."""
    return _first(params.get)


def tried(values: Mapping[str, object]) -> Source:
    """The same with other values, by key, that are not kept yet.

    The kept password goes only where it belongs: another address or account has the one that is given, or none.
    """
    kept, other = first(), _first(lambda param: values.get(param.key, params.get(param)))
    if params.LDAP_SEARCH_PASSWORD.key in values or (other.url, other.search_dn) == (kept.url, kept.search_dn):
        return other
    return replace(other, search_password="")


def _first(get: Callable[[params.Param[Any]], Any]) -> Source:
    return Source(
        url=get(params.LDAP_URL),
        base_dn=get(params.LDAP_BASE_DN),
        search_dn=get(params.LDAP_SEARCH_DN),
        search_password=get(params.LDAP_SEARCH_PASSWORD),
        start_tls=get(params.LDAP_START_TLS),
        verify_cert=get(params.LDAP_VERIFY_CERT),
        ca_certificates=get(params.LDAP_CA_CERTIFICATE),
        filter=directories.search_filter(get(params.LDAP_FILTER)),
        uid=get(params.LDAP_UID),
        scope=get(params.LDAP_SCOPE),
        timeout=get(params.LDAP_TIMEOUT),
        group_base_dn=get(params.LDAP_GROUP_BASE_DN),
        group_filter=directories.search_filter(get(params.LDAP_GROUP_SEARCH_FILTER)),
        group_name_attribute=get(params.LDAP_GROUP_ATTRIBUTE_NAME) or "cn",
        group_scope=get(params.LDAP_GROUP_SEARCH_SCOPE),
        group_admin_dn=get(params.LDAP_GROUP_ADMIN_DN),
        membership_attribute=get(params.LDAP_GROUP_MEMBERSHIP_ATTRIBUTE) or "memberof",
    )


def _of_file(server: directories.Directory) -> Source:
    return Source(
        name=server.name,
        url=server.url,
        base_dn=server.basedn,
        search_dn=server.searchdn,
        search_password=server.search_pwd,
        start_tls=server.start_tls,
        verify_cert=server.verify_cert,
        ca_certificates=server.ca_certificates,
        filter=server.filter,
        uid=server.uid,
        scope=server.scope,
        timeout=server.timeout,
        group_base_dn=server.group_basedn,
        group_filter=server.group_filter,
        group_name_attribute=server.group_gid or "cn",
        group_scope=server.group_scope,
        group_admin_dn=server.group_admin_dn,
        membership_attribute=server.group_membership_attribute,
    )
