"""Looking an installation over: each question has one line of an answer, and a remedy where the answer is bad.

Nothing is changed, and no question waits longer than a few seconds.
"""

from __future__ import annotations

import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import ldap
import redis
from django.contrib.auth.hashers import check_password
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.models import AuditLog
from harborsite import parts
from harborsite.config import Config
from harborsite.jobs import heartbeat
from harborsite.jobs.models import PausedQueue, Status, Task
from harborsite.parts import mariadb, systemd
from harborsite.setup import SetupError, certificates, database, instance, readiness
from projects.identity.ldap import sources
from projects.identity.ldap.connection import bound, translated
from projects.identity.ldap.errors import DirectoryError
from projects.identity.ldap.sources import Source
from projects.identity.signin import DEFAULT_PASSWORD
from projects.models import User
from projects.models.user import ADMIN_ID
from registry.auth.keys import KeysRefused, ensure_keys

PATIENCE: Final = 5.0  # seconds for another program to answer
_LITTLE_ROOM: Final = 0.05  # of the disk
_SKEW: Final = timedelta(seconds=30)
_STUCK: Final = timedelta(minutes=15)


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one question found; `remedy` is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    message: str
    remedy: str = ""


Answer = tuple[Verdict, str, str]


def ok(message: str) -> Answer:
    return Verdict.OK, message, ""


def warning(message: str, remedy: str) -> Answer:
    return Verdict.WARNING, message, remedy


def failed(message: str, remedy: str) -> Answer:
    return Verdict.FAILED, message, remedy


def _short(error: Exception) -> str:
    return str(error.args[-1] if error.args else error).split("\n")[0] or type(error).__name__


# --- the questions ----------------------------------------------------------------------------------------


def _configuration(config: Config) -> Answer:
    """That it could be read is why we are here."""
    mode = stat.S_IMODE(config.source.stat().st_mode)
    if mode & 0o077:
        return warning(
            _("%(file)s can be read by others, and holds passwords") % {"file": config.source},
            f"chmod 600 {config.source}",
        )
    return ok(str(config.source))


def _certificate(config: Config) -> Answer | None:
    certificate = certificates.check(config)
    if certificate is None:
        return None
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    left = ngettext("valid for %(days)d more day", "valid for %(days)d more days", days) % {"days": days}
    if not certificates.covers(certificate, config.hostname):
        return warning(
            _("%(file)s does not name %(hostname)s, so clients refuse it")
            % {"file": config.ssl_cert, "hostname": config.hostname},
            _("Put a certificate there that names it, or run 'manage.py make_cert'."),
        )
    if days < certificates.RENEW_BEFORE.days:
        return warning(left, _("Put a new one there, or run 'manage.py make_cert', and then ./install.sh."))
    return ok(left)


def _token_key(config: Config) -> Answer:
    try:
        ensure_keys(config.secret_dir, make=False)
    except KeysRefused as error:
        return failed(str(error), _("Restore the two files from a backup, or run 'manage.py prepare'."))
    return ok(_("key and certificate fit together"))


def _storage(config: Config) -> Answer:
    readiness.check_storage(config)
    disk = shutil.disk_usage(config.data_volume)
    free = {"free": f"{disk.free / 1e9:.1f}", "percent": f"{100 * disk.free / disk.total:.0f}"}
    message = _("writable, %(free)s GB free (%(percent)s %%)") % free
    if disk.free < disk.total * _LITTLE_ROOM:
        return warning(message, _("Make room, or delete images and run 'manage.py gc'."))
    return ok(message)


def _database(config: Config) -> Answer:
    if config.database.own and not mariadb.answers(config):
        return failed(_("MariaDB of this installation does not run"), _("Run 'manage.py start'."))
    state = database.state()
    name = f"SQLite {sqlite3.sqlite_version}"
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            name = str(cursor.fetchone()[0])
        if not connection.mysql_is_mariadb:  # type: ignore[attr-defined]
            name = f"MySQL {name}"
    try:
        connection.check_database_version_supported()
    except Exception as error:  # NotSupportedError of the backend
        return failed(_short(error), _("Upgrade the database server."))
    if state is database.State.NEWER:
        return failed(
            _("%(database)s was written by a newer version of Harborsite") % {"database": name},
            _("Run that version, or restore a backup from before the upgrade."),
        )
    if state is database.State.BEHIND:
        return failed(
            _("%(database)s lacks changes of this version") % {"database": name},
            _("Run ./install.sh, which makes them."),
        )
    if config.database.own and (before := mariadb.behind(config)):
        return warning(
            _("%(database)s; its own tables are of %(before)s") % {"database": name, "before": before},
            _("Run ./install.sh, which makes them."),
        )
    return ok(name)


def _clock(config: Config) -> Answer:
    """Against the database server's, and against what has been recorded: nothing can have happened tomorrow."""
    now = timezone.now()
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT UNIX_TIMESTAMP()")
            theirs = datetime.fromtimestamp(int(cursor.fetchone()[0]), UTC)
        if abs(theirs - now) > _SKEW:
            seconds = {"seconds": f"{abs((theirs - now).total_seconds()):.0f}"}
            return failed(_("differs by %(seconds)s s from the database server's") % seconds, _synchronise())
    newest = AuditLog.objects.order_by("-op_time").values_list("op_time", flat=True).first()
    if newest is not None and newest - now > _SKEW:
        return failed(
            _("is behind what was recorded at %(time)s") % {"time": f"{newest:%Y-%m-%d %H:%M:%S}"}, _synchronise()
        )
    return ok(f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _synchronise() -> str:
    return _("Have all machines keep their clocks by NTP, for example with systemd-timesyncd or chrony.")


def _administrator(config: Config) -> Answer | None:
    admin = User.objects.filter(pk=ADMIN_ID).first()
    if admin is None or not check_password(DEFAULT_PASSWORD, admin.password):
        return None
    return warning(
        _("admin has the password that everybody knows; it works from this machine alone"),
        _("Run 'manage.py users set-password admin'."),
    )


def _server(config: Config) -> Answer:
    pid = instance.running(config)
    if pid is None:
        readiness.check_ports(config)
        return failed(_("does not run"), _("Run 'manage.py start'."))
    if not instance.is_healthy(config):
        return failed(
            _("runs as process %(pid)d, and is not healthy") % {"pid": pid},
            _("%(log)s says why.") % {"log": config.data_volume / "log"},
        )
    return ok(_("runs as process %(pid)d at %(address)s") % {"pid": pid, "address": config.external_url})


def _jobs(config: Config) -> Answer:
    now = timezone.now()
    living = len(heartbeat.living())
    if not living:
        return failed(_("no worker lives"), _("Run 'manage.py stop', then 'manage.py start'."))
    paused = PausedQueue.objects.values("vendor_type")
    due = Task.objects.filter(Q(not_before=None) | Q(not_before__lt=now), status=Status.PENDING).exclude(
        vendor_type__in=paused
    )
    workers = ngettext("%(count)d worker lives", "%(count)d workers live", living) % {"count": living}
    if waiting := due.filter(creation_time__lt=now - _STUCK).count():
        waits = ngettext(
            "%(count)d task waits for a quarter of an hour", "%(count)d tasks wait for a quarter of an hour", waiting
        )
        return warning(
            f"{workers}, {waits % {'count': waiting}}", _("Raise max_job_workers in harbor.cfg if this goes on.")
        )
    return ok(workers)


def _redis(config: Config) -> Answer | None:
    if not config.redis_url:
        return None
    place = urlsplit(config.redis_url)
    where = f"{place.hostname}:{place.port or 6379}"
    try:
        client = redis.Redis.from_url(config.redis_url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
        version = client.info("server")["redis_version"]
    except (redis.RedisError, OSError) as error:
        return failed(f"{where}: {_short(error)}", _("Start Redis there, or correct redis_url in harbor.cfg."))
    return ok(f"{where}, Redis {version}")


def _syslog(config: Config) -> Answer | None:
    """What is sent by UDP may get lost unseen; that the name can be found is all that can be asked."""
    if not config.syslog_url:
        return None
    place = urlsplit(config.syslog_url)
    where = f"{place.hostname}:{place.port or 514}"
    try:
        if place.scheme == "udp":
            socket.getaddrinfo(place.hostname, place.port or 514, type=socket.SOCK_DGRAM)
        else:
            socket.create_connection((str(place.hostname), place.port or 514), PATIENCE).close()
    except OSError as error:
        return failed(
            f"{where}: {error.strerror or error}", _("Start the collector there, or correct syslog_url in harbor.cfg.")
        )
    return ok(where)


def _directory(source: Source) -> Callable[[Config], Answer]:
    def question(config: Config) -> Answer:
        try:
            with bound(source) as connection, translated(source):
                connection.search_ext_s(source.base_dn, ldap.SCOPE_BASE, attrlist=["1.1"])
        except DirectoryError as error:
            reason = error.message.removeprefix(f"{source.name}: ")
            return failed(reason, _("Start the directory there, or correct what the settings say of it."))
        return ok(_("%(url)s lets us in and search") % {"url": source.url})

    return question


def _parts(config: Config) -> Answer | None:
    wanted = parts.of(config)
    if not wanted:
        return None
    names = ", ".join(part.name for part in wanted)
    if missing := parts.missing_packages(wanted):
        return failed(
            _("programs are missing: %(packages)s") % {"packages": ", ".join(missing)},
            _("Run ./install.sh, which installs them."),
        )
    if config.log_socket is not None and instance.running(config) and not _listens(str(config.log_socket)):
        return failed(
            _("the log collector does not listen"), _("%(log)s says why.") % {"log": config.data_volume / "log"}
        )
    return ok(_("%(names)s, as units of systemd") % {"names": names} if systemd.is_used() else names)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    ask: Callable[[Config], Answer | None]
    needs_database: bool = False


_QUESTIONS: Final = (
    _Question("configuration", _configuration),
    _Question("certificate", _certificate),
    _Question("token_key", _token_key),
    _Question("storage", _storage),
    _Question("parts", _parts),
    _Question("database", _database),
    _Question("clock", _clock, needs_database=True),
    _Question("administrator", _administrator, needs_database=True),
    _Question("server", _server),
    _Question("jobs", _jobs, needs_database=True),
    _Question("redis", _redis),
    _Question("syslog", _syslog),
)


def examine(config: Config) -> Iterator[Finding]:
    """All findings, as they come; a question that does not concern this installation has none."""
    has_database = True
    for question in _QUESTIONS:
        if question.needs_database and not has_database:
            continue
        if finding := _found(question.name, question.ask, config):
            has_database = has_database and (finding.name, finding.verdict) != ("database", Verdict.FAILED)
            yield finding
    for source in sources.configured() if has_database else ():  # which there are, the database knows
        if finding := _found(source.name, _directory(source), config):
            yield finding


def _found(name: str, ask: Callable[[Config], Answer | None], config: Config) -> Finding | None:
    answer = _asked(ask, config)
    return None if answer is None else Finding(name, *answer)


def _asked(question: Callable[[Config], Answer | None], config: Config) -> Answer | None:
    try:
        return question(config)
    except SetupError as error:  # one line, which ends with what to do
        message, _dot, remedy = str(error).partition(". ")
        return failed(message, remedy or _("Put right what this says."))
    except DatabaseError as error:
        return failed(_short(error), _("See to the database first."))
