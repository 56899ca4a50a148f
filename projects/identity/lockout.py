"""Who failed too often: a name from one address is locked out for a while, and one address may only try so fast.

django-axes keeps the count, in the database and so for all processes. Its own wiring would see the portal's form alone;
here it is asked where all doors meet. The built-in administrator is never kept out on the machine itself.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

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


def check(*, username: str, address: str) -> int:
    """How often this name failed from this address; raises TooManyFailures before anything costly is done for it."""
    if _pace.is_exceeded(address):
        raise _refusal(60)
    if _is_exempt(username, address):
        return 0
    failures: int = _handler.get_failures(_request(address), _credentials(username))
    if failures >= FAILURES:
        logger.warning("sign-in refused after too many failures", extra={"username": username, "address": address})
        raise _refusal(int(LOCKED_FOR.total_seconds()))
    return failures


def note_failure(*, username: str, address: str) -> None:
    """One more wrong try; the tenth locks."""
    _pace.count(address)
    if not _is_exempt(username, address):
        _handler.user_login_failed(None, _credentials(username), _request(address))


def note_success(*, username: str, address: str) -> None:
    """What failed before does not count any more."""
    _handler.reset_attempts(ip_address=address or None, username=username[:_LONGEST_NAME])


def unlock(username: str) -> None:
    """Forget the failures of a name at every address."""
    _handler.reset_attempts(username=username[:_LONGEST_NAME])


def forget() -> None:
    """Start counting the pace anew."""
    _pace.clear()


def _refusal(seconds: int) -> TooManyFailures:
    minutes = max(1, seconds // 60)
    return TooManyFailures(
        _("Too many failed sign-ins. Try again in {minutes} minutes.").format(minutes=minutes),
        headers={"Retry-After": str(seconds)},
    )


def _is_exempt(username: str, address: str) -> bool:
    return is_loopback(address) and User.objects.filter(pk=ADMIN_ID, username=username).exists()


def _credentials(username: str) -> dict[str, str]:
    return {User.USERNAME_FIELD: username[:_LONGEST_NAME]}


def _request(address: str) -> HttpRequest:
    """All that django-axes wants to know of a request: where it came from."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = address
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
