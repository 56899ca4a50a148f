"""The base of the commands that an operator types: an error is one line on stderr and a status, not a traceback."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation

from harborsite import shelltext
from harborsite.config import current
from harborsite.errors import AppError
from harborsite.setup import SetupError, usage
from harborsite.setup.ownership import become_owner
from harborsite.shelltext import gettext


def column(text: str, width: int) -> str:
    """`text` filled up to the width that a terminal gives to so many letters; Chinese ones take two each."""
    return text + " " * (width - sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text))


class OperatorCommand(BaseCommand):
    """Subclasses raise SetupError, or let a service's AppError through."""

    requires_system_checks = []
    works_as_owner = True  # or as root, who may tell systemd what to do
    _from_shell = False

    def run_from_argv(self, argv: list[str]) -> None:
        self._from_shell = True
        with translation.override(shelltext.language()):
            super().run_from_argv(argv)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        with translation.override(shelltext.language()):
            super().print_help(prog_name, subcommand)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        usage.translate(parser)
        return parser

    def print_step(self, name: str, outcome: str) -> None:
        """One line, in the columns of install.sh."""
        self.stdout.write(f"{column(name, 22)}{outcome}")
        self.stdout.flush()

    def execute(self, *args: Any, **options: Any) -> str | None:
        with translation.override(shelltext.language()):
            try:
                if self._from_shell and self.works_as_owner:
                    become_owner(current())
                return super().execute(*args, **options)
            except (SetupError, AppError) as error:
                if not self._from_shell:
                    raise CommandError(str(error)) from error
                self.stderr.write(gettext("error: {error}").format(error=error))
                sys.exit(1)
