"""`manage.py doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import translation
from django.utils.translation import gettext as _

from harborsite import shelltext
from harborsite.config import current
from harborsite.setup import doctor
from harborsite.setup.command import OperatorCommand
from harborsite.setup.doctor import Verdict
from harborsite.shelltext import gettext, gettext_noop


class Command(OperatorCommand):
    help = gettext_noop(
        "Look the installation over: one line for each question, and a remedy where the answer is bad. "
        "Exit status: 0 nothing failed, 1 something did."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help=gettext("a list of objects, for scripts"))
        parser.add_argument(
            "--language", choices=["en", "zh-hans"], help=gettext("without it that of the shell's locale"), default=None
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with translation.override(options["language"] or shelltext.language()):
            findings = []
            for finding in doctor.examine(current()):
                findings.append(finding)
                if not options["json"]:
                    self._show(finding)
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
        if any(finding.verdict is Verdict.FAILED for finding in findings):
            sys.exit(1)

    def _show(self, finding: doctor.Finding) -> None:
        mark = {Verdict.OK: _("ok"), Verdict.WARNING: _("warning"), Verdict.FAILED: _("FAILED")}[finding.verdict]
        self.stdout.write(f"{mark:<8} {finding.name:<14} {finding.message}")
        if finding.remedy:
            self.stdout.write(f"{'':<8} {'':<14} → {finding.remedy}")
