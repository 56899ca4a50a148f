"""`python -m bench`: run both servers, measure row by row in turns, and print the table."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from bench import report
from bench.load import BenchmarkError
from bench.rows import ROWS, Row
from bench.servers import Weight, both

NEEDED = {"wrk": "wrk", "docker-registry": "docker-registry"}  # command: Debian package


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="how long each reading row lasts (default: 3)")
    parser.add_argument("--idle", type=float, default=60, help="seconds before memory is looked at (default: 60)")
    parser.add_argument("--only", default="", help="measure only the rows whose title contains this")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    if missing := [package for command, package in NEEDED.items() if not shutil.which(command)]:
        sys.exit(f"needed for the benchmark: apt-get install --no-install-recommends {' '.join(missing)}")
    rows = [row for row in ROWS if options.only in row.title]
    try:
        results, weight = measure(rows, options)
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
    text = report.table(results, weight)
    print(text)
    if rows == ROWS:
        print(f"\nwritten to {report.write_json(results, weight)}")
        if options.write_docs:
            report.write_docs(text)
    return 0 if report.holds(results, weight) else 1


def measure(rows: Sequence[Row], options: argparse.Namespace) -> tuple[list[report.Result], Weight]:
    """All rows, round by round; the two servers take turns in going first."""
    figures: dict[str, dict[str, list[float]]] = {row.title: {} for row in rows}
    with both(options.idle) as (weight, *targets):
        for number in range(options.rounds):
            for row in rows:
                for target in targets if number % 2 == 0 else reversed(targets):
                    figure = row.measure(target, options.seconds)
                    figures[row.title].setdefault(target.name, []).append(round(figure, 1))
                    print(
                        f"{number + 1}/{options.rounds} {row.title}: {target.name} {figure:,.0f} {row.unit}",
                        file=sys.stderr,
                    )
        peer, ours = (target.name for target in targets)
    return [report.Result(row, figures[row.title][peer], figures[row.title][ours]) for row in rows], weight


if __name__ == "__main__":
    sys.exit(main())
