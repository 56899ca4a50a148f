"""`manage.py prepare`: make keys, database, administrator and static files, as far as they are missing."""

from __future__ import annotations

from typing import Any

from harborsite import parts
from harborsite.config import current
from harborsite.parts import systemd
from harborsite.setup.command import OperatorCommand
from harborsite.setup.ownership import as_owner
from harborsite.setup.preparation import prepare
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "Make keys, database, administrator and static files, as far as they are missing. May be run again."
    )
    works_as_owner = False

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        as_owner(config, lambda: prepare(config=config, report=self.print_step))
        if systemd.is_there() and parts.of(config):
            systemd.install(config)
            self.print_step(gettext("systemd units"), gettext("run as {user}").format(user=parts.owner(config)))
