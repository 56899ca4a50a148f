"""`manage.py seed_demo`: an installation full of content, to try things out and to measure."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from harborsite.config import current
from harborsite.setup import demo
from harborsite.setup.command import OperatorCommand
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "Fill an empty installation with projects, people, images and log rows, to try it out or to measure it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--size",
            default="small",
            help=gettext(
                "small (5x4x5), medium (40x20x5), large (200x100x10), or projects x repositories x artifacts as in "
                "40x20x5; the audit log gets five rows for each artifact (default: small)"
            ),
        )
        parser.add_argument("--add", action="store_true", help=gettext("also where there are repositories already"))
        parser.add_argument("--prefix", default="demo", help=gettext("how the names of projects and users begin"))
        parser.add_argument(
            "--password", help=gettext("of all users that are made; without it none of them can sign in")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_prepared(current())
        size = demo.Size.parse(options["size"])
        demo.check_empty(add=options["add"], prefix=options["prefix"])
        demo.seed(size=size, prefix=options["prefix"], password=options["password"], report=self.stdout.write)
        self.stdout.write(_("The demo content is in place."))
