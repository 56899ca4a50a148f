"""`manage.py gc`: garbage collection from the shell, while the server runs or not."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop
from registry.services import gc


class Command(OperatorCommand):
    help = gettext_noop("Remove blobs that no artifact needs. The server may run, and go on being pushed to.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=gettext("only say what would be freed, in all and for each project, repository and untagged artifact"),
        )
        parser.add_argument(
            "--delete-untagged", action="store_true", help=gettext("remove artifacts without a tag first")
        )
        parser.add_argument(
            "--grace",
            type=int,
            default=int(gc.GRACE.total_seconds() // 60),
            metavar="MINUTES",
            help=gettext(
                "keep what was pushed or asked for since, as somebody may be pushing an image of it (default: 120)"
            ),
        )
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            choices=range(1, gc.MAX_WORKERS + 1),
            metavar="1-10",
            help=gettext("how many files are removed at the same time (default: 1)"),
        )
        parser.add_argument("--json", action="store_true", help=gettext("the totals as one JSON object, for scripts"))

    def handle(self, *args: Any, **options: Any) -> None:
        check_prepared(current())
        result = gc.run(
            dry_run=options["dry_run"],
            delete_untagged=options["delete_untagged"],
            grace=timedelta(minutes=max(0, options["grace"])),
            workers=options["workers"],
            report=(lambda line: None) if options["json"] else self.stdout.write,
        )
        if options["json"]:
            self.stdout.write(json.dumps(asdict(result)))
