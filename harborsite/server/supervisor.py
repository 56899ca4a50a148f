"""The process tree of `manage.py serve`: one parent that has loaded the product, and forks what runs it.

The parent serves nothing itself. It listens before it forks, so that a taken port is said at once and a restart of
the web process refuses no connection; its children share its memory.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from harborsite.config import Config
from harborsite.observability import logs, meters
from harborsite.server.processes import descendants, die_with_parent

STOP_SECONDS: Final = 8.5  # then what still runs is killed: `serve` promises to be gone after ten
LONG_ENOUGH: Final = 10.0  # a child that lived so long is restarted at once
MAX_PAUSE: Final = 30.0
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

logger = logging.getLogger(__name__)


class ChildFailedError(Exception):
    """A vital child could not start; `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Child:
    """One kind of child and, while it runs, its process."""

    name: str
    main: Callable[[], None]
    on_end: Callable[[int], None] = lambda pid: None  # told the process that has ended
    longest_pause: float = MAX_PAUSE
    pid: int = 0
    started: float = 0.0
    pause: float = 0.0  # before the next start
    due: float = field(default=0.0)
    stage: int = 0  # children of a higher one are stopped before those below are
    is_vital: bool = False  # if it soon gives up in its first life, everything ends with its status

    def start(self) -> None:
        self.started, parent = time.monotonic(), os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(parent)
        logger.info("process started", extra={"role": self.name, "child": self.pid})

    def _run(self, parent: int) -> NoReturn:
        status = 1
        logs.be(self.name)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS - {signal.SIGINT})  # Ctrl-C is for the parent
            if os.getppid() == parent:  # else the parent died before the kernel was asked to tell
                self.main()
                status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            logger.exception("process failed", extra={"role": self.name})
        finally:
            logging.shutdown()
            os._exit(status)

    def ended(self, status: int) -> None:
        """Plan the restart: at once, or later and later where the child dies young."""
        now = time.monotonic()
        pid, self.pid = self.pid, 0
        code = os.waitstatus_to_exitcode(status)
        if now - self.started > LONG_ENOUGH:
            self.is_vital = False  # it can start, so it will again
        elif self.is_vital and code > 0:  # it refused; who was killed did not
            raise ChildFailedError(code)
        self.pause = 0.0 if now - self.started > LONG_ENOUGH else min(self.longest_pause, self.pause * 2 or 1.0)
        self.due = now + self.pause
        level = logging.ERROR if code else logging.INFO
        logger.log(level, "process ended", extra={"role": self.name, "code": code, "restart_in": self.pause})
        self.on_end(pid)


class Supervisor:
    """Keeps its children running until SIGTERM or SIGINT, then stops them in time."""

    def __init__(
        self,
        children: Sequence[Child],
        chore: Callable[[], None] = lambda: None,
        *,
        chore_seconds: float = 1.0,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._children = children
        self._chore, self._chore_seconds = chore, chore_seconds  # about how often it is done
        self._stop_seconds = stop_seconds

    def run(self) -> None:
        """Keep them running until told to stop; ends the process where a vital child cannot start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        os.register_at_fork(after_in_child=die_with_parent)
        try:
            self._keep_running()
        except ChildFailedError as failed:
            self._stop()
            raise SystemExit(failed.status) from None
        self._stop()

    def _keep_running(self) -> None:
        while True:
            now = time.monotonic()
            for child in self._children:
                if not child.pid and child.due <= now:
                    child.start()
            caught = signal.sigtimedwait(_SIGNALS, self._chore_seconds)
            if caught is not None and caught.si_signo != signal.SIGCHLD:
                break
            self._reap()
            self._chore()

    def _reap(self) -> None:
        for child in self._running():
            if (ended := os.waitpid(child.pid, os.WNOHANG))[0]:
                child.ended(ended[1])

    def _stop(self) -> None:
        logger.info("stopping")
        deadline = time.monotonic() + self._stop_seconds
        while leaving := self._next_to_stop():
            for child in leaving:
                os.kill(child.pid, signal.SIGTERM)
            while any(child.pid for child in leaving):
                if time.monotonic() > deadline:
                    self._kill()
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)
                for child in self._running():
                    if os.waitpid(child.pid, os.WNOHANG)[0]:
                        child.pid = 0
        logger.info("stopped")

    def _next_to_stop(self) -> list[Child]:
        running = self._running()
        return [child for child in running if child.stage == max(other.stage for other in running)]

    def _kill(self) -> None:
        for child in self._running():
            logger.warning("killing what still runs", extra={"role": child.name})
            for pid in (child.pid, *descendants(child.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _running(self) -> list[Child]:
        return [child for child in self._children if child.pid]


def run(config: Config, *, access_log: bool = False, chore: Callable[[], None] = lambda: None) -> None:
    """Serve in the foreground: web and jobs, until SIGTERM. Raises OSError where the port cannot be had."""
    from django.db import connections

    from audit import forwarding
    from harborsite.server import application, jobs, web
    from registry.services import pulls

    meters.share(config.metric_dir)  # before anything that counts is loaded
    listeners = web.listen(config)
    whole = application.load()
    application.rehearse(whole)
    connections.close_all()  # a connection must not be shared by a fork
    _raise_file_limit()

    def in_each_web_process() -> None:
        pulls.write_in_background()
        forwarding.forward_in_background()

    served = web.Web(
        config=config,
        application=whole,
        listeners=listeners,
        access_log=access_log,
        on_start=in_each_web_process,
        on_exit=pulls.flush,
        observer=meters.meters(),
    )

    def serve_jobs() -> None:
        for listener in listeners:
            listener.close()
        jobs.run()

    def chores() -> None:
        served.watch()
        chore()

    gc.collect()
    gc.freeze()  # the collector must not touch, and so copy, what the children share
    Supervisor([*served.children, Child("jobs", serve_jobs)], chore=chores).run()


def _raise_file_limit() -> None:
    """Each connection is a file; the usual soft limit of 1024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
