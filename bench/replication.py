"""`python -m bench.replication`: replication against `skopeo sync`, on the same images to the same kinds of target."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench import report
from bench.load import BenchmarkError
from tests.clients.copying import Operator
from tests.fleet import Fleet, digests_at
from tests.services import Site, docker_registry, harborsite, workspace

BEGIN, END = "<!-- replication -->", "<!-- /replication -->"
MUST, GOAL = 1.0, 2.0
ALLOWED = "127.0.0.0/8"
QUIET = {"level": "error", "accesslog": {"disabled": True}}
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Target:
    """An empty registry to copy to."""

    kind: str  # the adapter
    host: str
    user: str = ""
    password: str = ""


@contextmanager
def empty_registry() -> Iterator[Target]:
    with docker_registry(log=QUIET) as host:
        yield Target("docker-registry", host)


@contextmanager
def empty_harborsite() -> Iterator[Target]:
    with harborsite({"HARBOR_DATABASE": "sqlite"}) as site:
        yield Target("harbor", site.host, "admin", site.password)


TARGETS = {"docker-registry 2.8": empty_registry, "Harborsite": empty_harborsite}


def by_replication(site: Site, fleet: Fleet, target: Target) -> float:
    """Seconds from the start of an execution until it says that it is done."""
    operator = Operator(site)
    registry = operator.registry(target.host, target.kind, target.user, target.password)
    policy = operator.policy(target.host.replace(":", "-"), f"{fleet.project}/**", dest_registry={"id": registry})
    began = time.perf_counter()
    found = operator.finish(operator.start(policy), seconds=600)
    if found["status"] != "Succeed":
        raise BenchmarkError(f"replication: {found}")
    return time.perf_counter() - began


def by_skopeo(site: Site, fleet: Fleet, target: Target) -> float:
    """Seconds that `skopeo sync` takes for the same."""
    with workspace("skopeo") as home:
        source = {
            "tls-verify": False,
            "credentials": {"username": "admin", "password": site.password},
            "images": {name: [] for name in fleet.names},
        }
        listing = home / "list.yml"
        listing.write_text(json.dumps({site.host: source}))  # JSON is YAML
        credentials = (f"--dest-creds={target.user}:{target.password}",) if target.user else ()
        began = time.perf_counter()
        done = subprocess.run(
            [
                *("skopeo", "sync", "--src=yaml", "--dest=docker", "--dest-tls-verify=false", "--preserve-digests"),
                *(*credentials, str(listing), f"{target.host}/{fleet.project}"),
            ],
            env=os.environ | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise BenchmarkError(f"skopeo sync: {done.stderr[-2000:]}")
    return seconds


WAYS: Mapping[str, Callable[[Site, Fleet, Target], float]] = {"skopeo": by_skopeo, "ours": by_replication}


def measure(fleet: Fleet, rounds: int, only: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of every round, by target and way; who goes first takes turns."""
    figures: dict[str, dict[str, list[float]]] = {}
    wanted = fleet.digests
    with harborsite({"HARBOR_DATABASE": "sqlite"}, allowed_networks=ALLOWED) as site:
        fleet.push(site.host, "admin", site.password)
        for number in range(rounds):
            for name, empty in TARGETS.items():
                for way in [*WAYS] if number % 2 == 0 else [*WAYS][::-1]:
                    if only not in {"", way}:
                        continue
                    with empty() as target:
                        os.sync()
                        seconds = WAYS[way](site, fleet, target)
                        found = digests_at(target.host, list(wanted), target.user, target.password)
                    if found != wanted:
                        raise BenchmarkError(f"{way} to {name} left {len(found)} of {len(wanted)} tags right")
                    figures.setdefault(name, {}).setdefault(way, []).append(seconds)
                    print(f"{number + 1}/{rounds} to {name}: {way} {seconds:.1f} s", file=sys.stderr)
    return figures


def table(figures: Mapping[str, Mapping[str, list[float]]], megabytes: float) -> tuple[str, bool]:
    """The table, and whether the must holds."""
    lines = ["| to | skopeo sync | Harborsite | ratio | must | goal | reached |", "|---|--:|--:|--:|--:|--:|---|"]
    holds = True
    for name, ways in figures.items():
        theirs, ours = median(ways["skopeo"]), median(ways["ours"])
        ratio = theirs / ours
        holds = holds and ratio >= MUST
        reached = report.verdict(ratio >= MUST, ratio >= GOAL)
        speeds = " | ".join(f"{seconds:.1f} s, {megabytes / seconds:.0f} MB/s" for seconds in (theirs, ours))
        lines.append(f"| {name} | {speeds} | {ratio:.2f}x | {MUST}x | {GOAL}x | {reached} |")
    return "\n".join(lines), holds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.replication", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each way is measured (default: 1)")
    parser.add_argument("--repositories", type=int, default=50)
    parser.add_argument("--tags", type=int, default=10, help="of each repository")
    parser.add_argument("--only", default="", choices=["", *WAYS], help="measure one way, without a table")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    if not shutil.which("skopeo"):
        sys.exit("needed for the benchmark: apt-get install --no-install-recommends skopeo docker-registry")
    fleet = Fleet("library", options.repositories, options.tags, (8 * MIB, MIB, 128 * KIB))
    try:
        figures = measure(fleet, options.rounds, options.only)
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
    if options.only:
        return 0
    text, holds = table(figures, fleet.total_bytes / 1e6)
    print(text)
    if options.write_docs:
        report.write_docs(text, BEGIN, END)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
