"""`manage.py serve`: the whole product in the foreground."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from harborsite.config import current
from harborsite.server import supervisor
from harborsite.setup import certificates
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import claim
from harborsite.setup.readiness import check_ports, check_prepared, check_shared_memory, check_storage


class Command(OperatorCommand):
    help = "Run the whole product in the foreground: web, job worker and scheduler. SIGTERM ends it within 10 s."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--access-log", action="store_true", help="Write a line for each request to stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        os.umask(0o077)
        certificates.check(config)
        check_storage(config)
        check_prepared(config)
        check_shared_memory()
        claim(config)
        check_ports(config)
        supervisor.run(config, access_log=options["access_log"])
