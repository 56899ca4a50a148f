"""`manage.py prepare`: make keys, database, administrator and static files, as far as they are missing."""

from __future__ import annotations

from typing import Any

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.preparation import prepare


class Command(OperatorCommand):
    help = "Make keys, database, administrator and static files, as far as they are missing. May be run again."

    def handle(self, *args: Any, **options: Any) -> None:
        prepare(config=current(), report=self.print_step)
