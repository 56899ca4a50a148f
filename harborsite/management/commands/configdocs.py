"""`manage.py configdocs`: write the table of keys into docs/configuration*.md."""

from __future__ import annotations

from typing import Any

from harborsite.setup import configdocs
from harborsite.setup.command import OperatorCommand


class Command(OperatorCommand):
    help = "Write the table of harbor.cfg's keys into docs/configuration.md and its Chinese sister."

    def handle(self, *args: Any, **options: Any) -> None:
        for language, file in configdocs.PAGES.items():
            file.write_text(configdocs.page(language), encoding="utf-8")
            self.print_step(language, str(file))
