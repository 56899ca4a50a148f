"""`manage.py serve`: the whole product in the foreground."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import translation

from harborsite import parts
from harborsite.config import Config, current
from harborsite.parts import mariadb, node
from harborsite.server import supervisor
from harborsite.setup import certificates, logfile
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import Role, claim
from harborsite.setup.readiness import check_files, check_ports, check_prepared, check_shared_memory, check_storage
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "Run the whole product in the foreground: web, job worker and scheduler. SIGTERM ends it within 10 s."
    )
    works_as_owner = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--access-log", action="store_true", help=gettext("Write a line for each request to stdout.")
        )
        parser.add_argument(
            "--without-parts",
            action="store_true",
            help=gettext("Leave nginx, MariaDB and rsyslog to somebody else, such as their units of systemd."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        os.umask(0o077)
        certificates.check(config)
        check_storage(config)
        check_shared_memory()
        if parts.of(config) and not options["without_parts"]:
            self._serve_node(config, access_log=options["access_log"])
        else:
            self._serve(config, access_log=options["access_log"], with_log=not options["without_parts"])

    def _serve_node(self, config: Config, *, access_log: bool) -> None:
        check_files(config)
        claim(config, Role.NODE)
        check_ports(config)
        _forget_the_shell()
        node.run(config, access_log=access_log)

    def _serve(self, config: Config, *, access_log: bool, with_log: bool) -> None:
        """`with_log` says that the log file of stdout, if any, is this process's to keep short."""
        check_prepared(config, patience=mariadb.PATIENCE)
        claim(config)
        if not config.with_proxy:
            check_ports(config)
        _forget_the_shell()
        chore = partial(logfile.keep_short, config) if with_log else lambda: None
        supervisor.run(config, access_log=access_log, chore=chore)


def _forget_the_shell() -> None:
    """Whoever starts it is told why not in their language; what the server then writes is for everybody."""
    translation.activate(settings.LANGUAGE_CODE)
