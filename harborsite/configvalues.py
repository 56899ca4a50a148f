"""How the text of a key in harbor.cfg becomes a value. A parser raises ValueError with what the text has to be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from harborsite.shelltext import gettext

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")
DATABASE = "database"  # the sign-in source that is not a server
_SOURCE = re.compile(rf"{DATABASE}|ldap(_[2-9])?")


def _(message: str) -> str:
    """Marks a text for the catalogue; translated where it is shown, as there is no Django here."""
    return message


def key(default: Any, parse: Callable[[str], Any], help_text: str) -> Any:
    """A field of the configuration that is a key of harbor.cfg."""
    return field(default=default, metadata={"parse": parse, "help": help_text})


@dataclass(frozen=True, slots=True)
class Database:
    """Where the rows are: SQLite below the data volume, or a MySQL/MariaDB server; `host` may be a socket's path."""

    engine: str
    name: str = ""
    user: str = ""
    host: str = ""
    port: int = 3306
    own: bool = False  # a MariaDB that runs as a part of this installation


def text(value: str) -> str:
    return value


def required(value: str) -> str:
    if not value:
        raise ValueError(gettext("must not be empty"))
    return value


def hostname(value: str) -> str:
    if not _HOSTNAME.fullmatch(value):
        raise ValueError(gettext("must be a host name or an address, without a scheme, port or path"))
    return value


def switch(value: str) -> bool:
    """`on`/`off` and `true`/`false`: Harbor 1.2's file uses both."""
    choices = {"on": True, "true": True, "off": False, "false": False}
    if value.lower() not in choices:
        raise ValueError(gettext("must be on or off (true or false)"))
    return choices[value.lower()]


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(gettext("must be a whole number from {low} to {high}").format(low=low, high=high))
        return int(value)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value

    return parse


def database(value: str) -> Database:
    if value == "sqlite":
        return Database("sqlite")
    if value == "mariadb":
        return Database("mysql", "harbor", "harbor", own=True)
    parts = urlsplit(value)
    name = parts.path.removeprefix("/")
    if parts.scheme != "mysql" or not parts.hostname or not parts.username or not re.fullmatch(r"\w+", name):
        raise ValueError(gettext("must be sqlite, mariadb or mysql://user@host:port/name"))
    if parts.password is not None:
        raise ValueError(gettext("must not hold the password: put it into db_password"))
    return Database("mysql", name, unquote(parts.username), parts.hostname, parts.port or 3306)


def storage(value: str) -> str:
    if value != "filesystem":
        raise ValueError(gettext("must be filesystem"))
    return value


def networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part) for part in value.replace(",", " ").split())


def path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", value) or value.startswith(
        ("/v2", "/api", "/service", "/c/")
    ):
        raise ValueError("must be a path such as /metrics, and none of the API's")
    return value


def url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not parts.hostname):
            raise ValueError("must be a URL with scheme " + " or ".join(schemes))
        return value

    return parse


def sources(value: str) -> tuple[str, ...]:
    """Names of sign-in sources, separated by spaces or commas."""
    names = tuple(value.replace(",", " ").split())
    if len(set(names)) != len(names) or not all(_SOURCE.fullmatch(name) for name in names):
        raise ValueError(gettext("must name each of database, ldap, ldap_2 … ldap_9 at most once"))
    return names


def sources_of(auth_mode: str, servers: Sequence[str]) -> tuple[str, ...]:
    """The sign-in sources of a mode of Harbor's where nobody chose others."""
    return (DATABASE, *servers) if auth_mode == "ldap_auth" else (DATABASE,)
