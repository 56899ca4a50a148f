"""The boot configuration: `harbor.cfg`, overridden by `HARBOR_<KEY>`, as one typed, frozen, validated object.

Nothing else reads the file or these environment variables. No Django here, so that every entry point can say
what is wrong with the file before anything is started.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from harborsite import configvalues as to
from harborsite import directories
from harborsite.configvalues import Database, _, key
from harborsite.directories import Directory
from harborsite.shelltext import gettext

BASE_DIR = Path(__file__).resolve().parent.parent
TEMPLATE = BASE_DIR / "harbor.cfg.tmpl"
_PLAIN_PATH = re.compile(r"[\w./+-]+")
_SOCKET_PATH = 107  # bytes of a unix socket's path on Linux


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key, the file with its line, and the remedy."""


_PORT = to.integer(1, 65535)
_REDIS_PATIENCE = {"socket_connect_timeout": 2, "socket_timeout": 5}  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All keys of harbor.cfg with their defaults; paths are absolute."""

    source: Path  # the file that was read
    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)  # where keys were set
    hostname: str = key("localhost", to.hostname, _("Name or address under which clients reach the server."))
    ui_url_protocol: str = key(
        "http", to.one_of("http", "https"), _("http or https: how the portal and the registry are reached.")
    )
    http_port: int = key(
        8080,
        to.integer(0, 65535),
        _("Port with http. With https it sends clients on to https_port; 0 opens none then."),
    )
    https_port: int = key(8443, _PORT, _("Port with https."))
    bind: str = key("", to.text, _("Address to listen on; empty means all."))
    data_volume: Path = key(Path("data"), Path, _("Directory of everything that is kept: database, blobs, keys, logs."))
    harbor_admin_password: str = key(
        "Harbor12345",
        to.required,
        _("First password of the administrator. It works from this machine alone until it has been changed."),
    )
    db_password: str = key("", to.text, _("Password of the MySQL/MariaDB user."))
    max_job_workers: int = key(3, to.integer(1, 64), _("How many jobs run at the same time."))
    customize_crt: bool = key(
        True,
        to.switch,
        _(
            "Whether prepare makes the key and certificate that sign tokens. "
            "If off, put private_key.pem and root.crt into data_volume/secret."
        ),
    )
    ssl_cert: Path | None = key(None, Path, _("Server certificate, for https."))
    ssl_cert_key: Path | None = key(None, Path, _("Private key of the server certificate."))
    secretkey_path: Path = key(
        Path("data/secret"), Path, _("Directory of the key that encrypts the passwords of remote registries.")
    )
    auth_mode: str = key(
        "db_auth", to.one_of("db_auth", "ldap_auth"), _("db_auth or ldap_auth: where users come from at first.")
    )
    sign_in_sources: tuple[str, ...] = key(
        (),
        to.sources,
        _(
            "Sources that users are looked for in, in this order, at first: database, ldap, ldap_2 … ldap_9. Empty "
            "means database with db_auth, and database with all LDAP servers with ldap_auth. The built-in "
            "administrator always signs in."
        ),
    )
    directories: tuple[Directory, ...] = ()  # from the keys ldap_*, ldap_2_* … ldap_9_*
    self_registration: bool = key(False, to.switch, _("Whether visitors may sign up by themselves, at first."))
    token_expiration: int = key(30, to.integer(1, 9999999999), _("Minutes that a registry token lives, at first."))
    project_creation_restriction: str = key(
        "everyone", to.one_of("everyone", "adminonly"), _("everyone or adminonly: who may create projects, at first.")
    )
    email_identity: str = key("", to.text, _("Identity for the mail server."))
    email_server: str = key("", to.text, _("Mail server."))
    email_server_port: int = key(25, _PORT, _("Port of the mail server."))
    email_username: str = key("", to.text, _("User name at the mail server."))
    email_password: str = key("", to.text, _("Password at the mail server."))
    email_from: str = key("", to.text, _("Sender of mails."))
    email_ssl: bool = key(False, to.switch, _("Whether the mail server speaks TLS."))
    database: Database = key(
        Database("sqlite"),
        to.database,
        _("sqlite, mysql://user@host:port/name, or mariadb: its own, below data_volume."),
    )
    storage: str = key("filesystem", to.storage, _("Where blobs are kept: filesystem, that is data_volume."))
    redis_url: str = key("", to.url("redis", "rediss"), _("Redis for the job queue; empty means the database."))
    syslog_url: str = key(
        "", to.url("udp", "tcp"), _("Where the audit log is forwarded to, udp://host:port or tcp://host:port.")
    )
    with_proxy: bool = key(False, to.switch, _("Whether nginx is the only open port, and rsyslog collects all logs."))
    log_format: str = key("plain", to.one_of("plain", "json"), _("plain or json: how log lines are written."))
    metric_enabled: bool = key(True, to.switch, _("Whether Prometheus metrics are served."))
    metric_path: str = key("/metrics", to.path, _("Where metrics are served."))
    metric_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = key(
        to.networks("127.0.0.0/8 ::1/128"),
        to.networks,
        _("Networks that may read metrics without signing in; elsewhere it takes an administrator."),
    )
    workers: int = key(0, to.integer(0, 64), _("Web processes; 0 means two."))
    threads: int = key(0, to.integer(0, 256), _("Threads of a web process; 0 means sixteen."))
    default_project: str = key("library", to.text, _("Project of one-part image names; empty refuses them."))
    allowed_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = key(
        to.networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
        to.networks,
        _("Networks that are not public and that the server itself may call; loopback must be named."),
    )

    @property
    def is_https(self) -> bool:
        return self.ui_url_protocol == "https"

    @property
    def port(self) -> int:
        return self.https_port if self.is_https else self.http_port

    @property
    def redis_address(self) -> str:
        """redis_url with patience, unless it says itself how much: a Redis that is silent must not hold up a push."""
        joint = "&" if "?" in self.redis_url else "?"
        given = self.redis_url.partition("?")[2]
        missing = [f"{name}={value}" for name, value in _REDIS_PATIENCE.items() if f"{name}=" not in given]
        return self.redis_url + (joint + "&".join(missing) if missing else "")

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
    def sources(self) -> tuple[str, ...]:
        """Where users are looked for at first, in order."""
        if self.sign_in_sources:
            return self.sign_in_sources
        return to.sources_of(self.auth_mode, [server.name for server in self.directories])

    @property
    def registry_host(self) -> str:
        """Host as docker wants it: without the port where it is the protocol's own."""
        usual = {"http": 80, "https": 443}[self.ui_url_protocol]
        return self.hostname if self.port == usual else f"{self.hostname}:{self.port}"

    @property
    def external_url(self) -> str:
        return f"{self.ui_url_protocol}://{self.registry_host}"

    @property
    def metric_dir(self) -> Path:
        """Where the processes of a running server count."""
        return self.run_dir / "metrics"

    @property
    def run_dir(self) -> Path:
        """Sockets, and what the parts of a node are configured with; nothing of value."""
        return self.data_volume / "run"

    @property
    def web_socket(self) -> Path | None:
        """Where the web processes listen, for the proxy alone; None where they listen on the port itself."""
        return self.run_dir / "web.sock" if self.with_proxy else None

    @property
    def log_socket(self) -> Path | None:
        """Where the log collector listens, None if there is none."""
        return self.run_dir / "log.sock" if self.with_proxy else None

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
    ["harbor_admin_password", "db_password", "email_password", "search_pwd", "database", "storage", "redis_url"]
)


def _keys() -> Iterator[tuple[str, Field[Any]]]:
    for spec in fields(Config):
        if spec.name == "directories":
            yield from ((f"{directories.FIRST}_{each.name}", each) for each in directories.KEYS)
        elif "parse" in spec.metadata:
            yield spec.name, spec


KEYS: Mapping[str, Field[Any]] = dict(_keys())


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
            gettext("{path}: there is no such file. Copy harbor.cfg.tmpl there, or correct HARBOR_CFG.").format(
                path=path
            )
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(gettext("{path}: cannot be read: {error}").format(path=path, error=error)) from None
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}:{number}"
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            raise ConfigError(
                gettext("{where}: expected 'key = value', found {stripped!r}").format(where=where, stripped=stripped)
            )
        if name in found:
            raise ConfigError(
                gettext("{where}: {name} was set before, at {value}. Remove one of the two.").format(
                    where=where, name=name, value=found[name][1]
                )
            )
        if name not in KEYS and name not in UNUSED_KEYS and not directories.is_numbered_key(name):
            raise ConfigError(
                gettext("{where}: unknown key {name!r}. harbor.cfg.tmpl lists the keys.").format(where=where, name=name)
            )
        found[name] = (value, where)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed values of keys, from what the file and the environment say; relative paths are relative to the file."""

    path: Path
    found: Mapping[str, tuple[str, str]]
    environ: Mapping[str, str]
    places: dict[str, str] = field(default_factory=dict)

    def value(self, name: str, spec: Field[Any]) -> Any:
        text, where = self.found.get(name, (None, ""))
        if (override := self.environ.get(f"HARBOR_{name.upper()}")) is not None:
            text, where = override.strip(), f"HARBOR_{name.upper()}"
        if where:
            self.places[name] = where
        value = spec.default if text is None else _typed(name, spec, text, where)
        return (self.path.parent / value).resolve() if isinstance(value, Path) else value

    def directories(self) -> Iterator[Directory]:
        """Every LDAP server of which a key is set, and always the first."""
        for name in directories.NAMES:
            values = {spec.name: self.value(f"{name}_{spec.name}", spec) for spec in directories.KEYS}
            if name == directories.FIRST or any(f"{name}_{spec.name}" in self.places for spec in directories.KEYS):
                yield Directory(name=name, **values)


def _typed(name: str, spec: Field[Any], text: str, where: str) -> Any:
    if text == "" and spec.default is None:
        return None
    try:
        return spec.metadata["parse"](text)
    except ValueError as error:
        shown = "the value" if spec.name in _MAY_HOLD_A_SECRET else repr(text)
        raise ConfigError(
            gettext("{where}: {name}: {shown} is not usable: {error}").format(
                where=where, name=name, shown=shown, error=error
            )
        ) from None


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check `path`; raises ConfigError. Relative paths are relative to the file."""
    reader = _Reader(path, _read(path), environ)
    values = {spec.name: reader.value(spec.name, spec) for spec in fields(Config) if "parse" in spec.metadata}
    servers = tuple(reader.directories())
    config = Config(source=path, places=reader.places, directories=servers, **values)
    if config.database.own:
        config = replace(config, database=replace(config.database, host=str(config.run_dir / "mariadb.sock")))
    _check_sockets(config)
    _check_paths_of_parts(config)
    _check_ports(config)
    _check_https(config)
    _check_directories(config)
    return config


def _check_sockets(config: Config) -> None:
    longest = config.run_dir / "mariadb.sock"
    if (config.with_proxy or config.database.own) and len(os.fsencode(longest)) > _SOCKET_PATH:
        raise ConfigError(
            gettext(
                "{where}: data_volume: {data_volume} is too long for the sockets below it: {longest} "
                "must not have more than {most} bytes"
            ).format(
                where=config.place("data_volume"), data_volume=config.data_volume, longest=longest, most=_SOCKET_PATH
            )
        )


def _check_paths_of_parts(config: Config) -> None:
    """They stand in configurations of other programs, each with a syntax of its own."""
    for name in ("data_volume", "ssl_cert", "ssl_cert_key"):
        path: Path | None = getattr(config, name)
        if config.with_proxy and path is not None and not _PLAIN_PATH.fullmatch(str(path)):
            raise ConfigError(
                gettext(
                    "{where}: {name}: {path} is not usable with with_proxy: "
                    "it may hold letters, digits and . _ - + / only"
                ).format(where=config.place(name), name=name, path=path)
            )


def _check_ports(config: Config) -> None:
    if not config.is_https and config.http_port == 0:
        raise ConfigError(
            gettext("{where}: http_port: 0 is not usable without https").format(where=config.place("http_port"))
        )
    if config.is_https and config.http_port == config.https_port:
        raise ConfigError(
            gettext("{where}: https_port is the same as http_port. Change one of the two.").format(
                where=config.place("https_port")
            )
        )


def _check_https(config: Config) -> None:
    """What the two files hold is looked at when the server starts, for `make_cert` makes them after this."""
    for name in ("ssl_cert", "ssl_cert_key"):
        if config.is_https and getattr(config, name) is None:
            raise ConfigError(
                gettext("{where}: {name} is needed with ui_url_protocol = https").format(
                    where=config.place(name), name=name
                )
            )


def _check_directories(config: Config) -> None:
    """What an LDAP server needs before users can be looked for in it."""
    known = {server.name: server for server in config.directories}
    for name in config.sources:
        if name == to.DATABASE:
            continue
        if (server := known.get(name)) is None or not server.url:
            raise ConfigError(
                gettext("{where}: {name}_url is needed: users are looked for in {name}").format(
                    where=config.place(f"{name}_url"), name=name
                )
            )
    for server in config.directories:
        for field_name, complaint in server.complaints():
            name = f"{server.name}_{field_name}"
            raise ConfigError(f"{config.place(name)}: {name}: {complaint}")


@cache
def current() -> Config:
    """The configuration of this process, read once."""
    return load(config_path())


assert all(f.default is not MISSING for f in KEYS.values())  # noqa: S101 - every key has a default
