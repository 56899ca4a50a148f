"""Counting pulls without a write per pull: gathered in memory, written in batches.

What a process gathered and has not written is lost if it is killed; it is written every few seconds, when it grows
large, and when the process ends. Receivers of the signal are told then, too, so that no pull waits for them.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import Counter
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from audit import services as audit
from harborsite.db.durability import may_be_lost_with_the_power
from harborsite.db.retry import retried
from registry import signals
from registry.models import Artifact, ArtifactChild, Repository, Tag
from registry.services import blobs

logger = logging.getLogger("registry.pulls")

FLUSH_SECONDS = 5.0
_WRITE_NOW = 2_000  # pulls in memory that are not left waiting
_GIVE_UP = 100_000  # pulls in memory beyond which the database has been away too long

ANONYMOUS = "anonymous"


class Pulls:
    """What has been pulled since the last flush; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Drop what was gathered."""
        self._repositories: Counter[int] = Counter()
        self._artifacts: dict[int, datetime] = {}
        self._tags: dict[int, datetime] = {}
        self._log: list[audit.Pull] = []
        self._news: list[dict[str, Any]] = []

    def note(
        self,
        *,
        repository_id: int,
        repository_name: str,
        project_id: int,
        artifact_id: int,
        digest: str,
        tag_id: int | None,
        tag: str,
        username: str,
    ) -> None:
        """Remember one pull; never waits."""
        now = timezone.now()
        resource = f"{repository_name}:{tag}" if tag else f"{repository_name}@{digest}"
        with self._lock:
            self._repositories[repository_id] += 1
            self._artifacts[artifact_id] = now
            if tag_id is not None:
                self._tags[tag_id] = now
            self._log.append(audit.Pull(username or ANONYMOUS, resource, digest, project_id, now))
            self._news.append(
                {
                    "artifact_id": artifact_id,
                    "repository": repository_name,
                    "digest": digest,
                    "tag": tag,
                    "project_id": project_id,
                    "username": username or ANONYMOUS,
                }
            )
            waiting = len(self._log)
        if waiting >= _WRITE_NOW:
            _write_soon()

    def flush(self) -> None:
        """Write what was gathered; if the database is away, keep it for the next time."""
        with self._flushing:
            with self._lock:
                gathered = (self._repositories, self._artifacts, self._tags, self._log)
                news = self._news
                self.forget()
            if not gathered[3]:
                return
            try:
                _write(*gathered)
            except DatabaseError:
                logger.exception("pulls not written", extra={"count": len(gathered[3])})
                self._take_back(*gathered)
        for pull in news:
            signals.artifact_pulled.send_robust(sender=Artifact, **pull)

    def _take_back(
        self,
        repositories: Counter[int],
        artifacts: dict[int, datetime],
        tags: dict[int, datetime],
        log: list[audit.Pull],
    ) -> None:
        with self._lock:
            if len(self._log) + len(log) > _GIVE_UP:
                return
            self._repositories.update(repositories)
            self._artifacts = artifacts | self._artifacts
            self._tags = tags | self._tags
            self._log = log + self._log


@retried
def _write(
    repositories: Counter[int],
    artifacts: dict[int, datetime],
    tags: dict[int, datetime],
    log: list[audit.Pull],
) -> None:
    """One transaction; rows are taken in the order of their keys, so that two processes never wait in a circle."""
    with may_be_lost_with_the_power(), transaction.atomic():
        for pk, count in sorted(repositories.items()):
            Repository.objects.filter(pk=pk).update(pull_count=F("pull_count") + count)
        _set_pull_times(artifacts)
        for pk, when in sorted(tags.items()):
            Tag.objects.filter(pk=pk).filter(Q(pull_time=None) | Q(pull_time__lt=when)).update(pull_time=when)
        audit.record_pulls(log)


def _set_pull_times(artifacts: dict[int, datetime]) -> None:
    """Of the artifacts, and of the indexes that list them: an image pulled through its index keeps both alive."""
    times = dict(artifacts)
    for some in blobs.chunks(list(artifacts)):
        children = Artifact.objects.filter(pk__in=some).values_list("pk", "repository_id", "digest")
        by_place = {(repository, digest): artifacts[pk] for pk, repository, digest in children}
        listed = ArtifactChild.objects.filter(
            digest__in=[digest for _, digest in by_place], artifact__repository__in={place for place, _ in by_place}
        ).values_list("artifact_id", "artifact__repository_id", "digest")
        for parent, repository, digest in listed:
            if when := by_place.get((repository, digest)):
                times[parent] = max(when, times.get(parent, when))
    for pk, when in sorted(times.items()):
        Artifact.objects.filter(pk=pk).filter(Q(pull_time=None) | Q(pull_time__lt=when)).update(pull_time=when)


pulls = Pulls()
note = pulls.note
flush = pulls.flush

_started_in: int | None = None


def write_in_background() -> None:
    """Flush every few seconds in this process, and once more when it ends; call it in every web process, twice is
    once. A child of a fork has to call it again.
    """
    global _started_in
    if _started_in == os.getpid():
        return
    _started_in = os.getpid()
    threading.Thread(target=_flush_for_ever, name="pulls", daemon=True).start()
    atexit.register(flush)


def _flush_for_ever() -> None:
    while True:
        _many.wait(FLUSH_SECONDS)
        _many.clear()
        flush()
        connection.close()


def _write_soon() -> None:
    """Leave it to the thread in the background, where there is one."""
    if _started_in == os.getpid():
        _many.set()
    else:
        flush()


_many = threading.Event()
