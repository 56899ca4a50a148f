"""`python -m bench.portal`: what each list of the portal takes over HTTP, with 200,000 artifacts, on both databases."""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench import report
from bench.load import BenchmarkError
from bench.servers import session
from tests.services import LOOPBACK, ROOT, Site, harborsite, mariadb

BEGIN, END = "<!-- portal -->", "<!-- /portal -->"
SIZE = "large"
DEEP, WIDE = 20_000, 20_000  # artifacts of one more repository, repositories of one more project
MUST_MS = 60.0
DATABASES = ("sqlite", "mariadb")
_PROJECT = "/projects/demo-002"
_DEEP = "/projects/deep-001/repositories/team/api-001"

PAGES = {
    "projects": "/projects/",
    "projects, searched": "/projects/?q=demo",
    "repositories of a project with 100": f"{_PROJECT}/repositories/",
    "repositories of a project with 20,000": "/projects/wide-001/repositories/",
    "the same, searched": "/projects/wide-001/repositories/?q=web",
    "artifacts of a repository with 10": f"{_PROJECT}/repositories/web-002/",
    "artifacts of a repository with 20,000": f"{_DEEP}/",
    "the same, 100 on a page": f"{_DEEP}/?page_size=100",
    "the same, page 600": f"{_DEEP}/?p=600",
    "the same, searched for a tag": f"{_DEEP}/?q=v1.19",
    "storage of a project": f"{_PROJECT}/storage/",
    "members": f"{_PROJECT}/members/",
    "labels of a project": f"{_PROJECT}/labels/",
    "robot accounts of a project": f"{_PROJECT}/robots/",
    "webhooks": f"{_PROJECT}/webhooks/",
    "retention": f"{_PROJECT}/policy/",
    "immutable tags": f"{_PROJECT}/policy/immutable/",
    "logs of a project": f"{_PROJECT}/logs/",
    "logs": "/logs/",
    "logs, page 600": "/logs/?p=600",
    "logs, searched for what is not there": "/logs/?q=nothing-of-that-name",
    "users": "/users/",
    "robot accounts": "/robots/",
    "registries": "/registries/",
    "replications": "/replications/",
    "labels": "/labels/",
    "quotas": "/quotas/",
    "garbage collection": "/clean-up/",
    "log rotation": "/clean-up/log-rotation/",
    "job queues": "/job-service/",
    "job schedules": "/job-service/schedules/",
    "job workers": "/job-service/workers/",
    "event log": "/events/",
    "search": "/search/?q=web",
}


@dataclass
class Figures:
    """What one page took on one database, in milliseconds, and how many bytes it is on the wire."""

    times: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def p50(self) -> float:
        return median(self.times)

    @property
    def p95(self) -> float:
        return quantiles(self.times, n=20, method="inclusive")[-1]


Results = Mapping[str, Mapping[str, Figures]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.portal", description=__doc__)
    parser.add_argument("--size", default=SIZE, help=f"as of seed_demo (default: {SIZE}, 200,000 artifacts)")
    parser.add_argument("--requests", type=int, default=40, help="how often each page is asked for (default: 40)")
    parser.add_argument("--databases", nargs="*", choices=DATABASES, default=DATABASES)
    parser.add_argument("--only", default="", help="measure only the pages whose title contains this")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    pages = {title: path for title, path in PAGES.items() if options.only in title}
    results: dict[str, dict[str, Figures]] = {}
    for name in options.databases:
        with database(name) as environment, harborsite(environment) as site:
            fill(site, options.size)
            results[name] = measure(site, pages, options.requests)
    text = table(pages, results)
    print(text)
    if options.write_docs and pages == PAGES and set(results) == set(DATABASES):
        report.write_docs(text, BEGIN, END)
    return 0 if all(found.p50 <= MUST_MS for each in results.values() for found in each.values()) else 1


@contextmanager
def database(name: str) -> Iterator[Mapping[str, str]]:
    """The environment that makes a server use an empty database of this kind."""
    if name == "sqlite":
        yield {"HARBOR_DATABASE": "sqlite"}
        return
    with mariadb() as server, server.database() as environment:
        yield environment


def fill(site: Site, size: str) -> None:
    """The demo content, and beside it one very full repository and one very full project."""
    seeds = (size, "demo"), (f"1x1x{DEEP}", "deep"), (f"1x{WIDE}x1", "wide")
    for wanted, prefix in seeds:
        began = time.monotonic()
        argv = [sys.executable, str(ROOT / "manage.py"), "seed_demo", "--add", "--size", wanted, "--prefix", prefix]
        subprocess.run(argv, env=os.environ | site.env, check=True, stdout=subprocess.DEVNULL)
        print(f"{prefix}, {wanted}: filled in {time.monotonic() - began:.0f} s", file=sys.stderr)


def measure(site: Site, pages: Mapping[str, str], requests: int) -> dict[str, Figures]:
    """Each page in turn, again and again, by one administrator on one connection; the first rounds do not count."""
    results = {title: Figures() for title in pages}
    connection = http.client.HTTPConnection(LOOPBACK, site.port, timeout=60)
    headers = {"Cookie": session(site), "Accept-Encoding": "gzip"}
    warming = 4
    for number in range(warming + requests):
        for title, path in pages.items():
            began = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            took = (time.perf_counter() - began) * 1000
            if answer.status != 200:
                raise BenchmarkError(f"{path}: {answer.status}")
            if number >= warming:
                results[title].times.append(took)
                results[title].size = len(body)
    connection.close()
    return results


def table(pages: Mapping[str, str], results: Results) -> str:
    """Milliseconds of each page, and its kilobytes on the wire."""
    names = {"sqlite": "SQLite", "mariadb": "MariaDB"}
    head = " | ".join(f"{names[name]}: p50 | p95" for name in results)
    lines: Sequence[str] = [f"| | {head} | KB |", f"|---|{'--:|--:|' * len(results)}--:|"]
    rows = []
    for title in pages:
        cells = [f"{each[title].p50:.0f} ms | {each[title].p95:.0f} ms" for each in results.values()]
        size = max(each[title].size for each in results.values())
        rows.append(f"| {title} | {' | '.join(cells)} | {size / 1024:.1f} |")
    return "\n".join([*lines, *rows])


if __name__ == "__main__":
    sys.exit(main())
