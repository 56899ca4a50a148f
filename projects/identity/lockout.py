"""Who failed too often: a name from one address is locked out for a while, and one address may only try so fast.

django-axes keeps the count, in the database and so for all processes. Its own wiring would see the portal's form alone;
here it is asked where all doors meet. The built-in administrator is never kept out on the machine itself.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Self

from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from harborsite.errors import AppError
from projects.identity.origin import is_loopback
from projects.models import User
from projects.models.user import ADMIN_ID

FAILURES = 10
LOCKED_FOR: timedelta = settings.AXES_COOLOFF_TIME
TRIES_PER_MINUTE = 120  # wrong ones from one address, in each process
_LONGEST_NAME = 255
_MOST_ADDRESSES = 10_000

logger = logging.getLogger("harborsite.identity")
_handler = AxesDatabaseHandler()


class TooManyFailures(AppError):
    code, status, default_message = "TOOMANYREQUESTS", 429, "too many failed sign-ins"

    @classmethod
    def for_the_next(cls, seconds: int) -> Self:
        return cls(
            _("Too many failed sign-ins. Try again in {minutes} minutes.").format(minutes=max(1, seconds // 60)),
            headers={"Retry-After": str(seconds)},
        )


@dataclass(frozen=True)
class Tries:
    """What is tried under one name from one address."""

    username: str
    address: str

    @cached_property
    def are_exempt(self) -> bool:
        """Whether this is the built-in administrator, on the machine itself."""
        return is_loopback(self.address) and User.objects.filter(pk=ADMIN_ID, username=self.username).exists()

    @property
    def name(self) -> str:
        """The name as it is counted."""
        return self.username[:_LONGEST_NAME]


def check(tries: Tries) -> int:
    """How many passwords were wrong; raises TooManyFailures before anything costly is done for another."""
    if _pace.is_exceeded(tries.address):
        raise TooManyFailures.for_the_next(60)
    if tries.are_exempt:
        return 0
    failures: int = _handler.get_failures(_request(tries), _credentials(tries))
    if failures >= FAILURES:
        raise refusal(tries)
    return failures


def note_failure(tries: Tries) -> None:
    """One more wrong password; the tenth locks."""
    _pace.count(tries.address)
    if not tries.are_exempt:
        _handler.user_login_failed(None, _credentials(tries), _request(tries))


def note_success(tries: Tries) -> None:
    """What failed before does not count any more."""
    _handler.reset_attempts(ip_address=tries.address or None, username=tries.name)


def refusal(tries: Tries) -> TooManyFailures:
    """What to raise while there is a lock; the log hears of it."""
    logger.warning(
        "sign-in refused after too many failures", extra={"username": tries.username, "address": tries.address}
    )
    return TooManyFailures.for_the_next(int(LOCKED_FOR.total_seconds()))


def unlock(username: str) -> None:
    """Forget the wrong passwords of a name at every address."""
    _handler.reset_attempts(username=username[:_LONGEST_NAME])


def forget() -> None:
    """Start counting the pace anew."""
    _pace.clear()


def _credentials(tries: Tries) -> dict[str, str]:
    return {User.USERNAME_FIELD: tries.name}


def _request(tries: Tries) -> HttpRequest:
    """All that django-axes wants to know of a request: where it came from."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = tries.address
    AxesProxyHandler.update_request(request)
    return request


class _Pace:
    """Failures of each address within the running minute; addresses of this machine are not counted."""

    def __init__(self) -> None:
        self._minute, self._counts = 0, dict[str, int]()
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        if is_loopback(address):
            return
        with self._lock:
            counts = self._current()
            if address in counts or len(counts) < _MOST_ADDRESSES:
                counts[address] = counts.get(address, 0) + 1

    def is_exceeded(self, address: str) -> bool:
        with self._lock:
            return self._current().get(address, 0) >= TRIES_PER_MINUTE

    def clear(self) -> None:
        with self._lock:
            self._counts = {}

    def _current(self) -> dict[str, int]:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        return self._counts


_pace = _Pace()
