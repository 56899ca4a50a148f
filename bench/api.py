"""`python -m bench.api`: the REST API on demo content, each row in turns with docker-registry's manifest GET."""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench import load, report
from bench.rows import Target
from bench.servers import processor_seconds, session, token_of
from tests.services import Site, docker_registry_process, harborsite, own_database

BEGIN, END = "<!-- api -->", "<!-- /api -->"
SIZE = "40x20x5"  # what Harbor's figures were measured on
HARBOR_PEER = 834  # docker-registry's manifest GET per second beside Harbor's figures
CONNECTIONS = (1, 8, 64)
JUDGED = 8  # at so many connections Harbor's figures were measured
GOAL = 3.0  # times Harbor's ratio
PROJECT, REPOSITORY = "demo-002", "web-002"
_ARTIFACTS = f"/api/v2.0/projects/{PROJECT}/repositories/{REPOSITORY}/artifacts"


@dataclass(frozen=True)
class Row:
    """`harbor` is Harbor 2.16's figure; `must` is how much of its ratio each release keeps."""

    title: str
    path: str
    harbor: float
    must: float = 0.5
    with_password: bool = False


ROWS = (
    Row("list projects", "/api/v2.0/projects", 103, must=1),
    Row("get project", f"/api/v2.0/projects/{PROJECT}", 546),
    Row("list repositories", f"/api/v2.0/projects/{PROJECT}/repositories", 265),
    Row("list artifacts with tags and labels", f"{_ARTIFACTS}?with_tag=true&with_label=true", 315),
    Row("get artifact", f"{_ARTIFACTS}/latest", 534),
    Row("artifact tags", f"{_ARTIFACTS}/latest/tags", 573),
    Row("members", f"/api/v2.0/projects/{PROJECT}/members", 787),
    Row("audit log", "/api/v2.0/auditlog-exts", 739),
    Row("users", "/api/v2.0/users", 909),
    Row("search", "/api/v2.0/search?q=web", 31, must=1),
    Row("quotas", "/api/v2.0/quotas", 29, must=1),
    Row("statistics", "/api/v2.0/statistics", 451),
    Row("catalogue", "/v2/_catalog?n=100", 529),
    Row(
        "token by password",
        f"/service/token?service=harbor-registry&scope=repository:{PROJECT}/{REPOSITORY}:pull",
        9,
        must=1,
        with_password=True,
    ),
    Row("get project by password", f"/api/v2.0/projects/{PROJECT}", 15, must=1, with_password=True),
)


@dataclass
class Readings:
    """One server's figures of all rounds: requests per second, their p95 and how long a processor had each in hand."""

    per_second: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)

    def add(self, pid: int, url: str, headers: Mapping[str, str], connections: int, seconds: float) -> None:
        before = processor_seconds(pid)
        read = load.wrk(url, headers, connections, seconds)
        spent = processor_seconds(pid) - before
        self.per_second.append(read.per_second)
        self.p95_ms.append(read.p95_ms)
        self.processor_ms.append(spent * 1000 / (read.per_second * seconds))


@dataclass
class Figures:
    """One row at one number of connections; docker-registry, the peer, was measured right before each of ours."""

    ours: Readings = field(default_factory=Readings)
    peer: Readings = field(default_factory=Readings)

    @property
    def ratio(self) -> float:
        return median(ours / peer for ours, peer in zip(self.ours.per_second, self.peer.per_second, strict=True))


Results = Mapping[tuple[str, int], Figures]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=2, help="how long each lasts (default: 2)")
    parser.add_argument("--only", default="", help="measure only the rows whose title contains this")
    parser.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS, help="default: 1 8 64")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    if missing := [command for command in ("wrk", "docker-registry") if not shutil.which(command)]:
        sys.exit(f"needed for the benchmark: apt-get install --no-install-recommends {' '.join(missing)}")
    rows = [row for row in ROWS if options.only in row.title]
    try:
        results = measure(rows, options)
    except load.BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
    text = table(rows, results)
    print(text)
    if options.write_docs and rows == list(ROWS):
        report.write_docs(text, BEGIN, END)
    return 0 if all(verdict(row, results)[0] for row in rows) else 1


def measure(rows: Sequence[Row], options: argparse.Namespace) -> Results:
    results: dict[tuple[str, int], Figures] = {}
    with servers() as (site, peer, peer_pid):
        signed_in = {"Cookie": session(site)}
        credentials = base64.b64encode(f"admin:{site.password}".encode()).decode()
        by_password = {"Authorization": f"Basic {credentials}"}
        for number in range(options.rounds):
            for connections in options.connections:
                # Opening the connections, a thread and its database for each, is not what the rows are about,
                # nor is hashing the password, which is remembered for a minute.
                load.wrk(f"{site.url}/api/v2.0/projects", signed_in, connections, 3)
                for row in rows:
                    headers = by_password if row.with_password else signed_in
                    if row.with_password:  # so many connections that every process gets one
                        load.wrk(site.url + row.path, headers, 16, 4)
                    manifest, reader = peer.url("manifests/v042"), load.reader(peer.token)
                    figures = results.setdefault((row.title, connections), Figures())
                    figures.peer.add(peer_pid, manifest, reader, connections, options.seconds)
                    figures.ours.add(
                        site.server.process.pid, site.url + row.path, headers, connections, options.seconds
                    )
                    print(
                        f"{number + 1}/{options.rounds} {row.title}, {connections}: {_told(figures.ours)}, "
                        f"docker-registry {_told(figures.peer)}",
                        file=sys.stderr,
                    )
    return results


def _told(read: Readings) -> str:
    return (
        f"{read.per_second[-1]:,.0f} 1/s, p95 {read.p95_ms[-1]:.1f} ms, {read.processor_ms[-1]:.2f} ms of a processor"
    )


@contextmanager
def servers() -> Iterator[tuple[Site, Target, int]]:
    """Harborsite with the demo content, and docker-registry with an image and its process id."""
    with own_database() as database, harborsite(database) as site:
        site.manage("seed_demo", "--size", SIZE)
        auth = {
            "realm": f"{site.url}/service/token",
            "service": "harbor-registry",
            "issuer": "harbor-token-issuer",
            "rootcertbundle": str(site.data / "secret" / "root.crt"),
        }
        quiet = {"level": "error", "accesslog": {"disabled": True}}
        with docker_registry_process(auth={"token": auth}, log=quiet) as registry:
            peer = Target("docker-registry", int(registry.host.rpartition(":")[2]), token_of(site))
            peer.fill()
            yield site, peer, registry.server.process.pid


def verdict(row: Row, results: Results) -> tuple[bool, str]:
    """Whether the row holds what it must, and the cells that say so; told at JUDGED connections alone."""
    figures = results.get((row.title, JUDGED))
    if figures is None:
        return True, ""
    harbor = row.harbor / HARBOR_PEER
    times = figures.ratio / harbor
    reached = report.verdict(times >= row.must, times >= GOAL)
    spent = f"{median(figures.ours.processor_ms):.2f}, {median(figures.peer.processor_ms):.2f}"
    cells = f"{spent} | {figures.ratio:.2f}x | {harbor:.2f}x | {times:.1f}x | {row.must}x | {reached}"
    return times >= row.must, cells


def table(rows: Sequence[Row], results: Results) -> str:
    connections = sorted({number for _title, number in results})
    head = " | ".join(f"{number}: 1/s, p95" for number in connections)
    lines = [
        f"| | {head} | processor ms, docker-registry's | ratio | Harbor's ratio | times Harbor | must | reached |",
        f"|---|{'--:|' * len(connections)}--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        found = [results[row.title, number].ours for number in connections]
        cells = [f"{median(each.per_second):,.0f}, {median(each.p95_ms):.0f} ms" for each in found]
        lines.append(f"| {row.title} | {' | '.join(cells)} | {verdict(row, results)[1]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
