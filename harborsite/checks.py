"""What `manage.py check` asks of the code beside Django's own checks. Ids never change their meaning.

harborsite.E001  a kind of job names a function that cannot be imported
harborsite.E002  a schedule of the system is of an unknown kind or has a cron that cannot be used
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from harborsite.errors import BadRequest
from harborsite.jobs import cron
from harborsite.jobs.kinds import KINDS, SYSTEM_SCHEDULES, Kind


def check_jobs(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Paths are text, because jobs live in rooms that the engine may not import; a slip would show at night."""
    return [*_unknown_functions(KINDS), *_bad_schedules(SYSTEM_SCHEDULES)]


def _unknown_functions(kinds: Mapping[str, Kind]) -> Iterator[CheckMessage]:
    for name, kind in kinds.items():
        for path in filter(None, (kind.run, kind.launch)):
            try:
                import_string(path)
            except ImportError as error:
                yield Error(str(error), hint="Correct it in harborsite/jobs/kinds.py.", obj=name, id="harborsite.E001")


def _bad_schedules(schedules: Mapping[str, str]) -> Iterator[CheckMessage]:
    for name, expression in schedules.items():
        try:
            cron.check(expression)
        except BadRequest as error:
            yield Error(error.message, obj=name, id="harborsite.E002")
        if name not in KINDS:
            yield Error("There is no such kind of job.", obj=name, id="harborsite.E002")
