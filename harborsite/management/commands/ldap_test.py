"""`manage.py ldap_test USER`: what every LDAP server answers about a user, step by step."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from harborsite.config import current
from harborsite.setup import SetupError
from harborsite.setup.command import OperatorCommand, column
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop
from projects.identity.ldap.diagnosis import examine


class Command(OperatorCommand):
    help = gettext_noop("Look a user up in every active LDAP server and say what each step found. Nothing is changed.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--password",
            action="store_true",
            help=gettext("try a password as well: it is asked for, or read from standard input if that is no terminal"),
        )
        parser.add_argument("--json", action="store_true", help=gettext("for scripts"))

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        check_prepared(current())
        steps = list(examine(username=username, password=_asked() if options["password"] else ""))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(step) for step in steps], ensure_ascii=False))
        else:
            marks = {True: gettext("ok"), False: gettext("FAILED"), None: "-"}
            for step in steps:
                text = step.text.replace("\n", f"\n{'':32}")
                self.stdout.write(
                    f"{step.source:<8}{column(marks[step.ok], 8)}{column(str(step.title), 16)}{text}".rstrip()
                )
        if any(step.ok is False for step in steps):
            raise SetupError(gettext("a step failed"))


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return getpass.getpass(gettext("Password: "))
