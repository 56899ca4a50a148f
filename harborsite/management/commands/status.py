"""`manage.py status`: whether the server of this data volume runs and is healthy."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import is_healthy, running

_EXIT_UNHEALTHY, _EXIT_NOT_RUNNING = 1, 3  # as init scripts have it


class Command(OperatorCommand):
    help = "Say whether the server runs (exit status 0), is not healthy (1) or does not run (3)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        pid = running(config)
        healthy = pid is not None and is_healthy(config)
        if options["json"]:
            facts = {"running": pid is not None, "pid": pid, "healthy": healthy, "address": config.external_url}
            self.stdout.write(json.dumps(facts))
        elif pid is None:
            self.stdout.write("not running")
        else:
            state = "healthy" if healthy else "not healthy: see the log in " + str(config.data_volume / "log")
            self.stdout.write(f"running as process {pid} at {config.external_url}, {state}")
        if not healthy:
            sys.exit(_EXIT_NOT_RUNNING if pid is None else _EXIT_UNHEALTHY)
