"""Name and password: robot accounts by prefixed name, people of the database by name or e-mail, people of directories.

A name that an account of the database has, as name or e-mail, is the database's alone. Every other name is looked for
in the active directories.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from django.contrib.auth.hashers import check_password, make_password
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_noop as _

from harborsite.config import KEYS
from harborsite.db.prepared import prepared_models
from harborsite.errors import Forbidden
from projects import params
from projects.identity import ldap, lockout
from projects.identity.memory import Remembered
from projects.identity.origin import is_loopback
from projects.models import Robot, User
from projects.models.user import ADMIN_ID

DEFAULT_PASSWORD = str(KEYS["harbor_admin_password"].default)
_LONGEST_NAME = 512  # with a robot account's prefix
_LONGEST_PASSWORD = 1024  # hashing is costly enough without anybody choosing how much there is to hash

Account = User | Robot
_remembered: Remembered[tuple[type[Account], int]] = Remembered(seconds=60, size=4096)


class DefaultPasswordRefused(Forbidden):
    default_message = _(
        "The built-in administrator still has the default password, which works only on the machine that Harborsite "
        "runs on. Set another one there: manage.py users set-password admin"
    )


def sign_in(*, username: str, password: str, remote_addr: str) -> Account | None:
    """The account that these credentials belong to, if it may be used now; None for anything else.

    Takes the same time for an unknown name as for a wrong password. A pair that was verified within the last minute
    costs one query and no hashing, and is let in whatever others try under its name. Raises DefaultPasswordRefused, and
    TooManyFailures where it was tried too often, and DirectoryUnavailable where a directory would have to decide.

    Nothing is remembered of people of a directory: each sign-in asks it again, so that a right that is taken away there
    is gone at the next one.
    """
    if not _is_plausible(username, password):
        return None
    pair = _remembered.digest(username, password)
    account = _recall(pair)
    if account is None:
        tries = lockout.Tries(username, remote_addr)
        failed_before = lockout.check(tries)
        account = _verify(username, password, pair)
        if account is None:
            lockout.note_failure(tries)
            return None
        if failed_before:
            lockout.note_success(tries)
    if _has_default_password(account, password) and not is_loopback(remote_addr):
        raise DefaultPasswordRefused
    return account


def forget() -> None:
    """Verify every pair anew."""
    _remembered.clear()
    ldap.forget()


def _is_plausible(username: str, password: str) -> bool:
    """Whether anybody could have these: neither empty nor endless, and text that can be stored."""
    try:
        username.encode(), password.encode()
    except UnicodeEncodeError:
        return False
    fits = len(username) <= _LONGEST_NAME and len(password) <= _LONGEST_PASSWORD
    return fits and bool(username and password) and "\0" not in username


def _recall(pair: bytes) -> Account | None:
    """The account of a remembered pair, read afresh; forgotten if anything about it has changed."""
    entry = _remembered.get(pair)
    if entry is None:
        return None
    kind, pk = entry.account
    found = (_user if kind is User else _robot)(pk)
    account: Account | None = found[0] if found else None
    if account and _is_usable(account) and hmac.compare_digest(_fingerprint(account), entry.fingerprint):
        return account
    _remembered.forget(pair)
    return None


@prepared_models
def _user(pk: int) -> QuerySet[User]:
    return User.objects.order_by().filter(pk=pk)


@prepared_models
def _robot(pk: int) -> QuerySet[Robot]:
    return Robot.objects.order_by().filter(pk=pk)


def _verify(username: str, password: str, pair: bytes) -> Account | None:
    """The first account of this name, or else of this e-mail address, whose password it is."""
    candidates = list(_candidates(username))
    local = [account for account in candidates if not _is_of_directory(account)]
    if local:
        return _verify_local(local, password, pair)
    found = None
    if not _is_robots(username):
        owner = next((account for account in candidates if account.username == username), None)
        found = ldap.sign_in(username=username, password=password, owner=owner if isinstance(owner, User) else None)
    if found is None:
        make_password(password)  # takes as long as looking at a wrong one
    return found


def _verify_local(accounts: Sequence[Account], password: str, pair: bytes) -> Account | None:
    """By hashing, once: a script with many connections has the same pair on all of them."""
    with _remembered.alone(pair):
        if account := _recall(pair):
            return account
        for account in accounts:
            encoded = account.secret if isinstance(account, Robot) else account.password
            if check_password(password, encoded) and _is_usable(account):
                _remembered.add(pair, (type(account), account.pk), _fingerprint(account))
                return account
    return None


def _candidates(username: str) -> Iterator[Account]:
    """Robot accounts first, then people by name, then by e-mail; MySQL takes "bob " for "bob", we do not."""
    if _is_robots(username):
        name = username.removeprefix(params.get(params.ROBOT_NAME_PREFIX))
        yield from (robot for robot in Robot.objects.filter(name=name) if robot.name == name)
    people = list(User.objects.living().filter(Q(username=username) | Q(email=username)))
    yield from (person for person in people if person.username == username)
    yield from (person for person in people if person.username != username and person.email == username)


def _is_robots(username: str) -> bool:
    prefix = params.get(params.ROBOT_NAME_PREFIX)
    return bool(prefix) and username.startswith(prefix)


def _is_of_directory(account: Account) -> bool:
    return isinstance(account, User) and account.is_of_directory


def _is_usable(account: Account) -> bool:
    """Neither shut out nor deleted, and not of the database while that is no source; the administrator is in any."""
    if not isinstance(account, User):
        return account.is_active
    return account.is_active and not account.deleted and (account.pk == ADMIN_ID or ldap.database_is_active())


def _has_default_password(account: Account, password: str) -> bool:
    is_admin = isinstance(account, User) and account.pk == ADMIN_ID
    return is_admin and hmac.compare_digest(password.encode(), DEFAULT_PASSWORD.encode())


def _fingerprint(account: Account) -> bytes:
    """Everything about an account that a change of ends what was remembered."""
    if isinstance(account, Robot):
        state = (account.username, account.secret, str(account.expires_at), repr(account.permissions))
    else:
        state = (account.username, account.password, account.email or "", str(account.sysadmin_flag))
    return _remembered.digest(*state)
