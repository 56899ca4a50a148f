"""The second factor of the portal: time-based codes (RFC 6238), and recovery codes for the day the phone is lost.

It guards sessions. Clients of the registry and of the REST API cannot be asked for a code; for them there are robot
accounts. That is why `/c/login`, which opens a session too, refuses accounts that have one.
"""

from __future__ import annotations

import hashlib
import secrets
import time

import pyotp
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite import config
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from harborsite.sealing import seal, unseal
from projects.identity import lockout
from projects.models import SecondFactor, User

STEP = 30  # seconds that one code is shown
_TOLERANCE = 1  # steps that a clock may be wrong by, to either side
_RECOVERY_CODES = 10
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read for something else
_CODE_LENGTH = 10  # 49 bits each


def new_secret() -> str:
    """A secret for an authenticator app, in Base32."""
    return pyotp.random_base32()


def address_of(user: User, secret: str) -> str:
    """The `otpauth:` address that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(
        name=user.username, issuer_name=f"Harborsite {config.current().hostname}"
    )


def is_on(user: User) -> bool:
    return SecondFactor.objects.filter(pk=user.pk).exists()


def switch_on(*, user: User, secret: str, code: str) -> list[str]:
    """Ask for codes from now on; `code` shows that the app has the secret. Returns the recovery codes, this once."""
    step = _matching_step(secret, code)
    if step is None:
        raise BadRequest(_("The code is wrong. Is the clock of your phone right?"))
    codes = ["".join(secrets.choice(_ALPHABET) for _place in range(_CODE_LENGTH)) for _code in range(_RECOVERY_CODES)]
    with transaction.atomic():
        SecondFactor.objects.update_or_create(
            user=user,
            defaults={"secret": seal(secret), "last_step": step, "recovery_codes": [_digest(code) for code in codes]},
        )
        _record(user, user, "second factor on")
    return codes


def switch_off(*, user: User, actor: Principal | str) -> bool:
    """Sign in by password alone again; says whether there was anything to switch off."""
    with transaction.atomic():
        found, _by_model = SecondFactor.objects.filter(pk=user.pk).delete()
        if found:
            _record(user, actor, "second factor off")
    return bool(found)


def accepts(*, user: User, code: str, address: str) -> bool:
    """Whether this is the code of now, or a recovery code; either is good once.

    Ten wrong ones lock the account's codes for a while, wherever they came from: only who knows the password is asked
    for one. Raises TooManyFailures then. The password's count is another, for it begins anew with each right password.
    """
    given = "".join(code.split()).lower()
    tries = lockout.Tries(user.username, address)
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(pk=user.pk).first()
        if factor is None:
            return False
        if factor.failed_at and timezone.now() - factor.failed_at >= lockout.LOCKED_FOR:
            factor.failures = 0
        if factor.failures >= lockout.FAILURES and not tries.are_exempt:
            raise lockout.refusal(tries)
        step = _matching_step(unseal(factor.secret), given)
        accepted = True
        if step is not None and step > factor.last_step:
            factor.last_step = step
        elif _digest(given) in factor.recovery_codes:
            factor.recovery_codes.remove(_digest(given))
            _record(user, user, "recovery code used")
        else:
            accepted = False
        factor.failures, factor.failed_at = (0, None) if accepted else (factor.failures + 1, timezone.now())
        factor.save()
    return accepted


def unlock(user: User) -> None:
    """Forget the wrong codes of an account."""
    SecondFactor.objects.filter(pk=user.pk).update(failures=0, failed_at=None)


def _matching_step(secret: str, code: str) -> int | None:
    """The time step whose code this is, near now."""
    if not secret or not (code.isascii() and code.isdigit()):
        return None
    now, generator = int(time.time()) // STEP, pyotp.TOTP(secret, interval=STEP)
    steps = range(now - _TOLERANCE, now + _TOLERANCE + 1)
    return next((step for step in steps if secrets.compare_digest(generator.at(step * STEP), code)), None)


def _digest(code: str) -> str:
    """Recovery codes are random enough that a plain digest tells nothing."""
    return hashlib.sha256(code.encode()).hexdigest()


def _record(user: User, actor: Principal | str, change: str) -> None:
    audit.record(
        actor=actor,
        operation=Operation.UPDATE,
        resource_type=ResourceType.USER,
        resource=user.username,
        data={"change": change},
    )
