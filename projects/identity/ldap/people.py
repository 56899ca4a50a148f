"""People of directories signing in, and staying what the directory says they are."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import override

from harborsite.errors import AppError
from projects.identity.ldap import directory, sources
from projects.identity.ldap.directory import STRANGER, conversation, forget
from projects.identity.ldap.errors import DirectoryError, DirectoryUnavailable
from projects.models import User
from projects.services import onboarding

__all__ = ["forget", "refreshed", "sign_in"]

logger = logging.getLogger("projects.identity")

FRESH = timedelta(minutes=5)  # how long a session goes without asking the directory
_LOG_LANGUAGE = "en"  # what goes wrong is told in the log, whoever signs in
RETRY = timedelta(minutes=1)  # and how long where it did not answer


def sign_in(*, username: str, password: str, owner: User | None) -> User | None:
    """The account of a directory that these credentials belong to; raises DirectoryUnavailable where nobody can tell.

    `owner` is the account of that name, if there is one: then its own directory alone is asked. Otherwise the first
    directory that knows the name decides. One that does not answer ends the search, for the name may be there.
    """
    for source in sources.active():
        if owner is not None and owner.source != source.name:
            continue
        try:
            with override(_LOG_LANGUAGE):
                found = directory.sign_in(source, username=username, password=password)
        except DirectoryError as error:
            logger.error("directory cannot be used", extra={"source": source.name, "reason": error.message})
            raise DirectoryUnavailable from None
        except AppError as refused:
            logger.warning(
                "no account for a person of a directory", extra={"user": username, "reason": refused.message}
            )
            return None
        if found is not STRANGER:
            return found if found and found.is_active else None
    return None


def refreshed(user: User) -> User | None:
    """`user` as the directory has it now, if it was not asked lately; None where it does not know the person any more.

    A directory that does not answer changes nothing. Of several requests at a time one asks.
    """
    now = timezone.now()
    if user.synced_at and now - user.synced_at < FRESH:
        return user
    if not User.objects.filter(pk=user.pk, synced_at=user.synced_at).update(synced_at=now):
        return user
    try:
        with override(_LOG_LANGUAGE):
            return _looked_up(user)
    except DirectoryError as error:
        logger.error("directory cannot be used", extra={"source": user.source, "reason": error.message})
        User.objects.filter(pk=user.pk).update(synced_at=now - FRESH + RETRY)
        return user


def _looked_up(user: User) -> User | None:
    source = sources.named(user.source)
    if source is not None:
        with conversation(source) as asked:
            entry = asked.entry(user.username)
            person = asked.person(entry) if entry.dn is not None else None
        if person is not None and person.username == user.username:
            return onboarding.welcome(source=source.name, person=person)
    logger.warning("a person is not in the directory any more", extra={"user": user.username, "source": user.source})
    onboarding.dismiss(user)
    return None


def _note(error: DirectoryError) -> None:
    logger.error("directory cannot be used", extra={"reason": error.message})  # which names the directory
