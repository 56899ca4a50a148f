"""`manage.py prepare`: make keys, database, administrator and static files, as far as they are missing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from harborsite.config import current
from harborsite.setup import SetupError
from harborsite.setup.preparation import prepare


class Command(BaseCommand):
    help = "Make keys, database, administrator and static files, as far as they are missing. May be run again."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            prepare(config=current(), report=self.stdout.write)
        except SetupError as error:
            raise CommandError(str(error)) from error
