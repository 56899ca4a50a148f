"""`manage.py stop`: end the server that works on this data volume."""

from __future__ import annotations

from typing import Any

from harborsite.config import current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import stop
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop("End the server that works on this data volume, and wait until it has ended.")
    works_as_owner = False

    def handle(self, *args: Any, **options: Any) -> None:
        self.print_step(gettext("Server"), gettext("stopped") if stop(current()) else gettext("not running"))
