"""The base of the commands that an operator types: an error is one line on stderr and a status, not a traceback."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from harborsite.config import language_of_shell
from harborsite.errors import AppError
from harborsite.setup import SetupError


class OperatorCommand(BaseCommand):
    """Subclasses raise SetupError, or let a service's AppError through."""

    requires_system_checks = []
    _from_shell = False

    def run_from_argv(self, argv: list[str]) -> None:
        self._from_shell = True
        super().run_from_argv(argv)

    def print_step(self, name: str, outcome: str) -> None:
        """One line, in the columns of install.sh."""
        self.stdout.write(f"{name:<22}{outcome}")
        self.stdout.flush()

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with translation.override(language_of_shell()):
                return super().execute(*args, **options)
        except (SetupError, AppError) as error:
            if not self._from_shell:
                raise CommandError(str(error)) from error
            self.stderr.write(f"error: {error}")
            sys.exit(1)
