"""`manage.py start`: run the server in the background."""

from __future__ import annotations

from typing import Any

from harborsite.config import current
from harborsite.setup.background import start, welcome
from harborsite.setup.command import OperatorCommand
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop("Start the server in the background, wait until it is healthy, and say how to use it.")
    works_as_owner = False

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        pid = start(config)
        self.print_step(gettext("Server"), gettext("healthy, as process {pid}").format(pid=pid))
        self.stdout.write(welcome(config))
