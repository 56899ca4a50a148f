"""`manage.py status`: whether the server of this data volume runs and is healthy."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import is_healthy, running
from harborsite.shelltext import gettext, gettext_noop

_EXIT_UNHEALTHY, _EXIT_NOT_RUNNING = 1, 3  # as init scripts have it


class Command(OperatorCommand):
    help = gettext_noop("Say whether the server runs (exit status 0), is not healthy (1) or does not run (3).")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help=gettext("one JSON object, for scripts"))

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        pid = running(config)
        healthy = pid is not None and is_healthy(config)
        if options["json"]:
            facts = {"running": pid is not None, "pid": pid, "healthy": healthy, "address": config.external_url}
            self.stdout.write(json.dumps(facts))
        elif pid is None:
            self.stdout.write(gettext("not running"))
        else:
            state = gettext("healthy") if healthy else gettext("not healthy: see the log in {log}")
            line = gettext("running as process {pid} at {url}, {state}")
            log = config.data_volume / "log"
            self.stdout.write(line.format(pid=pid, url=config.external_url, state=state.format(log=log)))
        if not healthy:
            sys.exit(_EXIT_NOT_RUNNING if pid is None else _EXIT_UNHEALTHY)
