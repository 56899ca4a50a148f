"""The boot configuration: `harbor.cfg`, overridden by `HARBOR_<KEY>`, as one typed, frozen, validated object.

Nothing else reads the file or these environment variables. No Django here, so that every entry point can say
what is wrong with the file before anything is started.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
TEMPLATE = BASE_DIR / "harbor.cfg.tmpl"
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key, the file with its line, and the remedy."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the rows are: SQLite below the data volume, or a MySQL/MariaDB server."""

    engine: str
    name: str = ""
    user: str = ""
    host: str = ""
    port: int = 3306


def _text(value: str) -> str:
    return value


def _required(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


def _hostname(value: str) -> str:
    if not _HOSTNAME.fullmatch(value):
        raise ValueError("must be a host name or an address, without a scheme, port or path")
    return value


def _switch(value: str) -> bool:
    """`on`/`off` and `true`/`false`: Harbor 1.2's file uses both."""
    choices = {"on": True, "true": True, "off": False, "false": False}
    if value.lower() not in choices:
        raise ValueError("must be on or off (true or false)")
    return choices[value.lower()]


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value

    return parse


def _database(value: str) -> Database:
    if value == "sqlite":
        return Database("sqlite")
    parts = urlsplit(value)
    name = parts.path.removeprefix("/")
    if parts.scheme != "mysql" or not parts.hostname or not parts.username or not re.fullmatch(r"\w+", name):
        raise ValueError("must be sqlite or mysql://user@host:port/name")
    if parts.password is not None:
        raise ValueError("must not hold the password: put it into db_password")
    return Database("mysql", name, unquote(parts.username), parts.hostname, parts.port or 3306)


def _storage(value: str) -> str:
    if value != "filesystem":
        raise ValueError("must be filesystem")
    return value


def _networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part) for part in value.replace(",", " ").split())


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not parts.hostname):
            raise ValueError("must be a URL with scheme " + " or ".join(schemes))
        return value

    return parse


def _(message: str) -> str:
    """Marks a text for the catalogue; translated where it is shown, as there is no Django here."""
    return message


_PORT = _integer(1, 65535)


def _key(default: Any, parse: Callable[[str], Any], help_text: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All keys of harbor.cfg with their defaults; paths are absolute."""

    source: Path  # the file that was read
    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)  # where keys were set
    hostname: str = _key("localhost", _hostname, _("Name or address under which clients reach the server."))
    ui_url_protocol: str = _key(
        "http", _one_of("http", "https"), _("http or https: how the portal and the registry are reached.")
    )
    http_port: int = _key(
        8080, _integer(0, 65535), _("Port with http. With https it sends clients on to https_port; 0 opens none then.")
    )
    https_port: int = _key(8443, _PORT, _("Port with https."))
    bind: str = _key("", _text, _("Address to listen on; empty means all."))
    data_volume: Path = _key(
        Path("data"), Path, _("Directory of everything that is kept: database, blobs, keys, logs.")
    )
    harbor_admin_password: str = _key(
        "Harbor12345",
        _required,
        _("First password of the administrator. It works from this machine alone until it has been changed."),
    )
    db_password: str = _key("", _text, _("Password of the MySQL/MariaDB user."))
    max_job_workers: int = _key(3, _integer(1, 64), _("How many jobs run at the same time."))
    customize_crt: bool = _key(
        True,
        _switch,
        _(
            "Whether prepare makes the key and certificate that sign tokens. "
            "If off, put private_key.pem and root.crt into data_volume/secret."
        ),
    )
    ssl_cert: Path | None = _key(None, Path, _("Server certificate, for https."))
    ssl_cert_key: Path | None = _key(None, Path, _("Private key of the server certificate."))
    secretkey_path: Path = _key(
        Path("data/secret"), Path, _("Directory of the key that encrypts the passwords of remote registries.")
    )
    auth_mode: str = _key(
        "db_auth", _one_of("db_auth", "ldap_auth"), _("db_auth or ldap_auth: where users come from at first.")
    )
    ldap_url: str = _key("", _url("ldap", "ldaps"), _("LDAP server, ldap://host:389 or ldaps://host:636."))
    ldap_searchdn: str = _key("", _text, _("DN that may search the directory."))
    ldap_search_pwd: str = _key("", _text, _("Password of ldap_searchdn."))
    ldap_basedn: str = _key("", _text, _("Where the search for a user starts."))
    ldap_filter: str = _key("", _text, _("Further filter for users."))
    ldap_uid: str = _key("cn", _required, _("Attribute that holds the user name."))
    ldap_scope: int = _key(2, _integer(0, 2), _("0 base, 1 one level, 2 subtree."))
    ldap_timeout: int = _key(5, _integer(1, 300), _("Seconds to wait for the directory."))
    ldap_verify_cert: bool = _key(True, _switch, _("Whether the directory's certificate is checked."))
    self_registration: bool = _key(False, _switch, _("Whether visitors may sign up by themselves, at first."))
    token_expiration: int = _key(30, _integer(1, 9999999999), _("Minutes that a registry token lives, at first."))
    project_creation_restriction: str = _key(
        "everyone", _one_of("everyone", "adminonly"), _("everyone or adminonly: who may create projects, at first.")
    )
    email_identity: str = _key("", _text, _("Identity for the mail server."))
    email_server: str = _key("", _text, _("Mail server."))
    email_server_port: int = _key(25, _PORT, _("Port of the mail server."))
    email_username: str = _key("", _text, _("User name at the mail server."))
    email_password: str = _key("", _text, _("Password at the mail server."))
    email_from: str = _key("", _text, _("Sender of mails."))
    email_ssl: bool = _key(False, _switch, _("Whether the mail server speaks TLS."))
    database: Database = _key(Database("sqlite"), _database, _("sqlite, or mysql://user@host:port/name."))
    storage: str = _key("filesystem", _storage, _("Where blobs are kept: filesystem, that is data_volume."))
    redis_url: str = _key("", _url("redis", "rediss"), _("Redis for the job queue; empty means the database."))
    syslog_url: str = _key(
        "", _url("udp", "tcp"), _("Where the audit log is forwarded to, udp://host:port or tcp://host:port.")
    )
    workers: int = _key(0, _integer(0, 64), _("Web processes; 0 means two."))
    threads: int = _key(0, _integer(0, 256), _("Threads of a web process; 0 means sixteen."))
    default_project: str = _key("library", _text, _("Project of one-part image names; empty refuses them."))
    allowed_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = _key(
        _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
        _networks,
        _("Networks that are not public and that the server itself may call; loopback must be named."),
    )

    @property
    def is_https(self) -> bool:
        return self.ui_url_protocol == "https"

    @property
    def port(self) -> int:
        return self.https_port if self.is_https else self.http_port

    @property
    def ports(self) -> Mapping[str, int]:
        """Every port that clients may come to, by its key: that of the protocol first, then that which redirects."""
        if not self.is_https:
            return {"http_port": self.http_port}
        return {"https_port": self.https_port} | ({"http_port": self.http_port} if self.http_port else {})

    def place(self, key: str) -> str:
        """Where `key` was set, for messages: file and line, or environment variable; the file if it was not set."""
        return self.places.get(key, str(self.source))

    @property
    def registry_host(self) -> str:
        """Host as docker wants it: without the port where it is the protocol's own."""
        usual = {"http": 80, "https": 443}[self.ui_url_protocol]
        return self.hostname if self.port == usual else f"{self.hostname}:{self.port}"

    @property
    def external_url(self) -> str:
        return f"{self.ui_url_protocol}://{self.registry_host}"

    @property
    def secret_dir(self) -> Path:
        """Where `prepare` keeps the token key, the root certificate and Django's secret key."""
        return self.data_volume / "secret"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's, where Harbor keeps it too; it may be missing."""
        return self.data_volume / "ca_download" / "ca.crt"


# Keys of Harbor 1.2's file that mean nothing here: accepted, so that an operator's old file can be read.
UNUSED_KEYS = frozenset(
    [
        "admiral_url",
        "log_rotate_count",
        "log_rotate_size",
        "clair_db_password",
        "clair_db_host",
        "clair_db_port",
        "clair_db_username",
        "clair_db",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "uaa_endpoint",
        "uaa_clientid",
        "uaa_clientsecret",
        "uaa_verify_cert",
        "uaa_ca_cert",
        "email_insecure",
        "verify_remote_cert",
        "db_host",
        "db_port",
        "db_user",
        "redis_host",
    ]
)
_MAY_HOLD_A_SECRET = frozenset(
    ["harbor_admin_password", "db_password", "email_password", "ldap_search_pwd", "database", "storage", "redis_url"]
)
KEYS: Mapping[str, Field[Any]] = {f.name: f for f in fields(Config) if "parse" in f.metadata}


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file to read: `HARBOR_CFG`, else harbor.cfg beside the code, else the template's defaults."""
    if named := environ.get("HARBOR_CFG"):
        return Path(named).absolute()
    local = BASE_DIR / "harbor.cfg"
    return local if local.exists() else TEMPLATE


def _read(path: Path) -> dict[str, tuple[str, str]]:
    """Each key of the file with its text and where it stands."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file. Copy harbor.cfg.tmpl there, or correct HARBOR_CFG."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}:{number}"
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            raise ConfigError(f"{where}: expected 'key = value', found {stripped!r}")
        if name in found:
            raise ConfigError(f"{where}: {name} was set before, at {found[name][1]}. Remove one of the two.")
        if name not in KEYS and name not in UNUSED_KEYS:
            raise ConfigError(f"{where}: unknown key {name!r}. harbor.cfg.tmpl lists the keys.")
        found[name] = (value, where)
    return found


def _typed(spec: Field[Any], text: str, where: str) -> Any:
    if text == "" and spec.default is None:
        return None
    try:
        return spec.metadata["parse"](text)
    except ValueError as error:
        shown = "the value" if spec.name in _MAY_HOLD_A_SECRET else repr(text)
        raise ConfigError(f"{where}: {spec.name}: {shown} is not usable: {error}") from None


def language_of_shell(environ: Mapping[str, str] = os.environ) -> str:
    """Of the two languages that we speak, the one that the locale of the caller's shell asks for."""
    named = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh-hans" if next(filter(None, named), "").startswith("zh") else "en"


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check `path`; raises ConfigError. Relative paths are relative to the file."""
    found = _read(path)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for name, spec in KEYS.items():
        text, where = found.get(name, (None, ""))
        if (override := environ.get(f"HARBOR_{name.upper()}")) is not None:
            text, where = override.strip(), f"HARBOR_{name.upper()}"
        if where:
            places[name] = where
        value = spec.default if text is None else _typed(spec, text, where)
        values[name] = (path.parent / value).resolve() if isinstance(value, Path) else value
    config = Config(source=path, places=places, **values)
    _check_ports(config)
    _check_https(config)
    return config


def _check_ports(config: Config) -> None:
    if not config.is_https and config.http_port == 0:
        raise ConfigError(f"{config.place('http_port')}: http_port: 0 is not usable without https")
    if config.is_https and config.http_port == config.https_port:
        raise ConfigError(f"{config.place('https_port')}: https_port is the same as http_port. Change one of the two.")


def _check_https(config: Config) -> None:
    """What the two files hold is looked at when the server starts, for `make_cert` makes them after this."""
    for name in ("ssl_cert", "ssl_cert_key"):
        if config.is_https and getattr(config, name) is None:
            raise ConfigError(f"{config.place(name)}: {name} is needed with ui_url_protocol = https")


@cache
def current() -> Config:
    """The configuration of this process, read once."""
    return load(config_path())


assert all(f.default is not MISSING for f in KEYS.values())  # noqa: S101 - every key has a default
