"""`manage.py parts`: what install.sh asks about nginx, MariaDB and rsyslog of this node."""

from __future__ import annotations

import shutil
from typing import Any

from django.core.management.base import CommandParser

from harborsite import parts
from harborsite.config import current
from harborsite.parts import choice, systemd
from harborsite.setup import certificates
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import stop
from harborsite.setup.ownership import as_owner
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "The other programs of this node: put them into harbor.cfg, say what is missing, take them away."
    )
    works_as_owner = False

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        verbs.add_parser(
            "choose", help=gettext("ask for nginx, rsyslog and (if no database is named) MariaDB in harbor.cfg")
        )
        verbs.add_parser("missing", help=gettext("the Debian packages that the configuration needs, one a line"))
        verbs.add_parser(
            "remove", help=gettext("stop everything and take units and made files away; data and logs stay")
        )

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, f"_{verb}")()

    def _choose(self) -> None:
        config = current()
        keys = choice.choose(config)
        said = gettext("{file}: {keys} set") if keys else gettext("as in harbor.cfg")
        self.print_step(gettext("With proxy"), said.format(file=config.source, keys=", ".join(keys)))

    def _missing(self) -> None:
        config = current()
        as_owner(config, lambda: None)  # that they can read what they need
        certificates.check(config)  # install.sh asks here first: a server that runs is not stopped for a bad one
        for package in parts.missing_packages(parts.of(config)):
            self.stdout.write(package)

    def _remove(self) -> None:
        config = current()
        had_units = systemd.remove()
        stopped = stop(config)
        shutil.rmtree(config.run_dir, ignore_errors=True)
        self.print_step(gettext("Server"), gettext("stopped") if stopped or had_units else gettext("not running"))
        if had_units:
            self.print_step(gettext("systemd units"), gettext("removed"))
        self.print_step(gettext("Data"), gettext("kept in {data_volume}").format(data_volume=config.data_volume))
