"""`manage.py check_storage`: whether every blob has its bytes and every byte its row, while the server runs or not."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop
from projects.services.quotas import human_size
from registry.services import check, gc

_EVERY_SECONDS = 5.0


class Command(OperatorCommand):
    help = gettext_noop(
        "Verify the digest of every blob, and list blobs without bytes and bytes without blobs. Status 1: faults."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quick", action="store_true", help=gettext("compare sizes only, and read no blob"))
        parser.add_argument(
            "--quarantine",
            action="store_true",
            help=gettext(
                "serve damaged blobs no more, so that they are pushed again, and move wrong and unknown bytes aside"
            ),
        )
        parser.add_argument("--purge", action="store_true", help=gettext("remove what is aside, for good"))
        parser.add_argument(
            "--grace",
            type=int,
            default=int(gc.GRACE.total_seconds() // 60),
            metavar="MINUTES",
            help=gettext("take files as young as this for those of a push that is not over (default: 120)"),
        )
        parser.add_argument("--json", action="store_true", help=gettext("the report as one JSON object, for scripts"))

    def handle(self, *args: Any, **options: Any) -> None:
        check_prepared(current())
        as_json = options["json"]
        report = check.check(
            quick=options["quick"],
            quarantine=options["quarantine"],
            purge=options["purge"],
            grace=timedelta(minutes=max(0, options["grace"])),
            found=(lambda finding: None) if as_json else self._say,
            progress=_Progress(self.stderr.write),
        )
        if as_json:
            self.stdout.write(json.dumps(asdict(report)))
        else:
            counts = gettext(
                "{blobs} blobs, {size}: {faults} faults, {healed} healed, {set_aside} set aside, {purged} purged, "
                "{quarantined} in quarantine"
            )
            numbers = asdict(report) | {"size": human_size(report.bytes)}
            self.stdout.write(counts.format(**numbers))
        if not report.is_healthy:
            sys.exit(1)

    def _say(self, finding: check.Finding) -> None:
        held = f"  {', '.join(finding.repositories)}" if finding.repositories else ""
        self.stdout.write(f"{finding.fault:<8} {finding.digest} {finding.size}{held}")


class _Progress:
    """A line now and then: how far, and how long it will take."""

    def __init__(self, write: Any) -> None:
        self._write = write
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int, size: int, whole: int) -> None:
        now = time.monotonic()
        if now - self._said < _EVERY_SECONDS:
            return
        self._said = now
        left = (now - self._began) * (whole - size) / size if size else 0
        text = gettext("{done} of {total} blobs, {size} of {whole}, {seconds} s left")
        self._write(
            text.format(done=done, total=total, size=human_size(size), whole=human_size(whole), seconds=f"{left:.0f}")
        )
