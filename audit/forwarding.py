"""Sending records to a collector, in the background: no request waits for it, and no outage or crash loses a record.

Records wait as `Outgoing` rows. Of all processes one sends, the oldest first, and deletes what the other side has
taken; what was sent when a crash came is sent twice.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import Error, connection, transaction
from django.db.models import Q
from django.utils import timezone

from audit import switches, syslog
from audit.models import Forwarding, Outgoing
from harborsite.outbound import OutboundError

BATCH: Final = 500
LOOK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 5.0  # where nothing is to be sent, or somebody else sends
LEASE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = 30.0
_ROW: Final = 1

logger = logging.getLogger("audit.forwarding")


@dataclass(frozen=True, slots=True)
class State:
    """What people are told: `error` is empty where the collector takes what is sent."""

    destination: str
    error: str
    since: datetime | None
    waiting: int


def state() -> State:
    """How it goes; raises nothing where forwarding is off."""
    wanted = switches.now().destination
    row = Forwarding.objects.filter(pk=_ROW, destination=wanted).first() if wanted else None
    return State(wanted, row.error if row else "", row.since if row else None, Outgoing.objects.count())


class Forwarder:
    """The sender of one process, who may lead or not."""

    def __init__(self) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}:{id(self)}"
        self._sender: syslog.Sender | None = None
        self._destination = ""
        self._leads_until = timezone.now()
        self._failures = 0
        self._told: str | None = None  # the error that the row holds, as far as this process knows

    def step(self) -> float:
        """Send some, if that is up to this process; returns the seconds until the next step is due."""
        wanted = switches.now()
        destination = wanted.destination
        if destination != self._destination:
            self.close()
            self._destination, self._failures, self._told = destination, 0, None
        if not destination or not self._lead():
            self.close()
            return IDLE_SECONDS
        rows = list(Outgoing.objects.order_by("pk").values_list("pk", "message")[:BATCH])
        if not rows:
            return LOOK_SECONDS
        try:
            self._sender = self._sender or syslog.connect(destination, checked=wanted.checked)
            self._sender.send([text for _, text in rows])
        except (OSError, ValueError, OutboundError) as error:  # the address may be none
            self.close()
            self._failures += 1
            self._tell(str(error))
            return float(min(_LONGEST_PAUSE, 2.0 ** min(self._failures - 1, 5)))
        self._failures = 0
        self._tell("")
        with transaction.atomic():
            Outgoing.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
        return 0 if len(rows) == BATCH else LOOK_SECONDS

    def _lead(self) -> bool:
        now = timezone.now()
        if self._leads_until - now > LEASE / 3:
            return True
        with transaction.atomic():
            if not Forwarding.objects.filter(pk=_ROW).exists():
                Forwarding.objects.get_or_create(pk=_ROW, defaults={"lease_until": now, "since": now})
            free = Forwarding.objects.filter(Q(leader=self._name) | Q(lease_until__lte=now), pk=_ROW)
            if not free.update(leader=self._name, lease_until=now + LEASE):
                self._told = None
                return False
        self._leads_until = now + LEASE
        return True

    def _tell(self, error: str) -> None:
        """Write down and log what has changed, and only that."""
        if error == self._told:
            return
        row = Forwarding.objects.filter(pk=_ROW)
        began = row.filter(destination=self._destination).exclude(error="").exists() and bool(error)
        changes = {"destination": self._destination, "error": error[:300]}
        with transaction.atomic():
            row.update(**changes if began else {**changes, "since": timezone.now()})
        if error:
            logger.warning("log collector not reached", extra={"destination": self._destination, "error": error})
        elif self._told:
            logger.info("log collector reached again", extra={"destination": self._destination})
        self._told = error

    def close(self) -> None:
        """Hang up; the next step connects anew."""
        if self._sender:
            with suppress(OSError):
                self._sender.close()
        self._sender = None


_started_in: int | None = None


def forward_in_background() -> None:
    """Send from a thread of this process; call it in every web process, twice is once."""
    global _started_in
    if _started_in == os.getpid():
        return
    _started_in = os.getpid()
    threading.Thread(target=_forward_for_ever, name="forwarding", daemon=True).start()


def _forward_for_ever() -> None:
    forwarder = Forwarder()
    while True:
        pause = IDLE_SECONDS
        try:
            pause = forwarder.step()
        except Error:  # a database that is away for a moment must not end the forwarding
            logger.warning("records not forwarded yet", exc_info=True)
            connection.close()
        time.sleep(pause)
