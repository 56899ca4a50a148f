"""`manage.py jobs`: what the job service does, from the shell; stop what runs or waits, try again what failed."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from harborsite.config import current
from harborsite.jobs import dashboard, engine
from harborsite.jobs.kinds import KINDS
from harborsite.jobs.models import FINAL, Status, Task
from harborsite.setup import SetupError
from harborsite.setup.command import OperatorCommand
from harborsite.setup.readiness import check_prepared
from harborsite.shelltext import gettext, gettext_noop

_MINUTE = 60

ACTOR = "system"  # in the audit log


class Command(OperatorCommand):
    help = gettext_noop("List, stop and retry jobs. Exit status: 0 done, 1 refused, 2 wrong usage.")

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        listing = verbs.add_parser(
            "list", help=gettext("jobs, the newest first: those that wait or run, unless told otherwise")
        )
        listing.add_argument("--all", action="store_true", help=gettext("those that have ended, too"))
        listing.add_argument(
            "--status", choices=[status.value for status in Status], help=gettext("only those of this status")
        )
        listing.add_argument("--kind", choices=sorted(KINDS), help=gettext("only those of this kind"))
        listing.add_argument(
            "--limit", type=int, default=100, metavar="N", help=gettext("at most so many (default: 100)")
        )
        stop = verbs.add_parser("stop", help=gettext("end a job: at once if it waits, else as soon as it looks"))
        retry = verbs.add_parser(
            "retry", help=gettext("try a job again that failed or was stopped; others are left alone")
        )
        for verb in (stop, retry):
            verb.add_argument(
                "jobs", nargs="+", type=int, metavar="JOB", help=gettext("its number, as 'list' shows it")
            )
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help=gettext("for scripts"))

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        check_prepared(current())
        if verb == "list":
            rows = chosen(options)
        else:
            rows = [found(number) for number in options["jobs"]]
            for task in rows:
                (engine.stop_task if verb == "stop" else engine.retry)(task=task, actor=ACTOR)
                task.refresh_from_db()
        if options["json"]:
            self.stdout.write(json.dumps([shown(task) for task in rows]))
            return
        for task in rows:
            self.stdout.write(line(task))


def chosen(options: dict[str, Any]) -> list[Task]:
    rows: QuerySet[Task] = Task.objects.order_by("-pk")
    if options["status"]:
        rows = rows.filter(status=options["status"])
    elif not options["all"]:
        rows = rows.exclude(status__in=FINAL)
    if options["kind"]:
        rows = rows.filter(vendor_type=options["kind"])
    return list(rows[: max(0, options["limit"])])


def found(number: int) -> Task:
    task = Task.objects.filter(pk=number).first() if number.bit_length() < 64 else None
    if task is None:
        raise SetupError(
            gettext("there is no job {number}. 'manage.py jobs list --all' shows all.").format(number=number)
        )
    return task


def line(task: Task) -> str:
    parts = [f"{task.pk:>8}  {task.vendor_type:<24}  {Status(task.status).label:<8}  {progress(task)}"]
    if task.stop_requested:
        parts.append(gettext("is to stop"))
    if task.status_message:
        parts.append(task.status_message)
    return "  ".join(parts).rstrip()


def progress(task: Task) -> str:
    """How far it is, and how long it will go on."""
    if not task.total:
        return ""
    text = f"{task.done}/{task.total} {task.unit}".rstrip()
    if (seconds := task.remaining_seconds) is None:
        return text
    left = gettext("{minutes} min left").format(minutes=-(-seconds // _MINUTE))
    return f"{text}, {left}"


def shown(task: Task) -> dict[str, Any]:
    """A job, by the names of the REST API; a time that is none is null."""
    times = {"start_time": task.start_time, "end_time": task.end_time}
    return {**dashboard.progress(task), **{name: at.isoformat() if at else None for name, at in times.items()}}
