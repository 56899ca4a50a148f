"""What has to be there before the first request: directories, keys, tables, the administrator, static files.

Every step looks first and does only what is missing, so that `prepare` may be run again after anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import transaction

from harborsite import catalogue, parts
from harborsite.config import Config
from harborsite.files import make_private_directory, write_whole
from harborsite.parts import mariadb
from harborsite.setup import SetupError, cannot_write, certificates, database
from harborsite.setup.instance import running
from harborsite.setup.readiness import check_storage
from harborsite.shelltext import gettext, gettext_noop
from projects.models import Member, Project, Quota, User
from projects.models.quota import UNLIMITED
from projects.models.user import ADMIN_ID
from projects.permissions import Role
from registry.auth.keys import KeysRefused, ensure_keys

LIBRARY_ID = 1


def prepare(*, config: Config, report: Callable[[str, str], None]) -> None:
    """Make everything ready, reporting each step and what came of it; raises SetupError."""
    os.umask(0o077)
    certificate = certificates.check(config)
    try:
        make_private_directory(config.data_volume)
        check_storage(config)
        with _alone(config.data_volume):
            if certificate is not None:
                until = certificate.not_valid_after_utc
                report("https", gettext("certificate valid until {date:%Y-%m-%d}").format(date=until))
            if ready := parts.make_ready(config):
                names = ", ".join(part.name for part in ready)
                report(gettext("Parts"), gettext("{names} ready").format(names=names))
            with mariadb.running(config) if config.database.own else nullcontext():
                if config.database.own and (before := mariadb.upgrade(config)):
                    report("MariaDB", gettext("its own tables upgraded from {version}").format(version=before))
                for name, step in _STEPS.items():
                    report(gettext(name), step(config))
    except OSError as error:
        raise cannot_write(error) from error


@contextmanager
def _alone(data_volume: Path) -> Iterator[None]:
    """Hold off a second `prepare` on the same data."""
    with (data_volume / "prepare.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                gettext("another 'prepare' is at work in {data_volume}. Wait for it to end.").format(
                    data_volume=data_volume
                )
            ) from None
        yield


def _directories(config: Config) -> str:
    for directory in (config.secret_dir, config.data_volume / "log", config.secretkey_path):
        make_private_directory(directory)
    config.secret_dir.chmod(0o700)
    return str(config.data_volume)


def _secrets(config: Config) -> str:
    try:
        made = ensure_keys(config.secret_dir, make=config.customize_crt)
    except KeysRefused as error:
        raise SetupError(str(error)) from None
    made |= _ensure_secret(config.secret_dir / "django_key")
    made |= _ensure_secret(config.secretkey_path / "secretkey")
    return gettext("made") if made else gettext("kept")


def _ensure_secret(path: Path) -> bool:
    if path.is_file() and path.stat().st_size:
        path.chmod(0o600)
        return False
    write_whole(path, secrets.token_urlsafe(32).encode())
    return True


def _tables(config: Config) -> str:
    database.ensure_exists(config)
    database.refuse_newer()
    before = database.state()
    if before is database.State.BEHIND and running(config):
        raise SetupError(
            gettext("the server is running, and the database must be upgraded. Run 'manage.py stop' first.")
        )
    with database.upgrading():
        first = _first_accounts(config.harbor_admin_password)
    if first:
        return gettext("created, with administrator admin and project library")
    return gettext("up to date") if before is database.State.CURRENT else gettext("upgraded")


def _first_accounts(password: str) -> bool:
    """The built-in administrator and the public project, once: an administrator may delete the project for good."""
    with transaction.atomic():
        if User.objects.filter(pk=ADMIN_ID).exists():
            return False
        admin = User(pk=ADMIN_ID, username="admin", realname="system admin", comment="admin user", sysadmin_flag=True)
        admin.set_password(password)
        admin.save(force_insert=True)
        library = Project(pk=LIBRARY_ID, name="library", owner=admin, public=True)
        library.save(force_insert=True)
        Quota.objects.create(project=library, hard=UNLIMITED)
        Member.objects.create(project=library, user=admin, role=Role.PROJECT_ADMIN)
        return True


def _translations(config: Config) -> str:
    return ", ".join(catalogue.compile_all(config.data_volume / "translations"))


def _static_files(config: Config) -> str:
    stamp = config.data_volume / "static" / ".stamp"
    wanted = _static_fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return gettext("up to date")
    make_private_directory(stamp.parent)
    whole = running(config) is None  # start afresh, as a killed run leaves half files; but not under a server's feet
    call_command("collectstatic", interactive=False, clear=whole, verbosity=0)
    write_whole(stamp, wanted.encode())
    return gettext("collected")


def _static_fingerprint() -> str:
    """Changes whenever a static file of ours or of a package does; compressing them all takes seconds."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            about = os.stat(storage.path(name))
            digest.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


_STEPS: Mapping[str, Callable[[Config], str]] = {
    gettext_noop("Data volume"): _directories,
    gettext_noop("Keys, certificate"): _secrets,
    gettext_noop("Database"): _tables,
    gettext_noop("Translations"): _translations,
    gettext_noop("Static files"): _static_files,
}
