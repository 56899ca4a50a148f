"""`manage.py serve`: the whole product in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from django.db import connections

from harborsite.config import Config, current
from harborsite.setup.command import OperatorCommand
from harborsite.setup.instance import claimed
from harborsite.setup.readiness import check_port, check_prepared


class Command(OperatorCommand):
    help = "Run the whole product in the foreground: web, job worker and scheduler. SIGTERM ends it within 10 s."

    def handle(self, *args: Any, **options: Any) -> None:
        config = current()
        os.umask(0o077)
        check_prepared(config)
        with claimed(config):
            check_port(config)
            connections.close_all()  # the processes to come must not share one
            run(config)


def run(config: Config) -> None:
    host = config.bind or "0.0.0.0"  # noqa: S104
    web = ["gunicorn", "harborsite.wsgi", "-b", f"{host}:{config.port}", "-w", "2", "-k", "gthread", "--threads", "8"]
    children = [
        subprocess.Popen([sys.executable, "-m", *web]),  # noqa: S603
        subprocess.Popen([sys.executable, "manage.py", "qcluster"]),
    ]

    def end(*_: object) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for child in children:
        child.wait()
