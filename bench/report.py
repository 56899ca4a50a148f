"""The result: a table for people, JSON for the record, and the table's place in docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.rows import Row
from bench.servers import Weight

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
DOCS = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
PSS_MUST, PSS_GOAL = 200.0, 128.0
HEALTHY_MUST, HEALTHY_GOAL = 5.0, 2.0


@dataclass(frozen=True)
class Result:
    """One row with the figures of all rounds."""

    row: Row
    peer: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.peer)


def verdict(reached: bool, ahead: bool) -> str:
    return "goal" if ahead else "must" if reached else "BELOW"


def table(results: Sequence[Result], weight: Weight) -> str:
    lines = [
        "| | docker-registry 2.8 | Harborsite | ratio | must | goal | reached |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for result in results:
        row, ratio = result.row, result.ratio
        lines.append(
            f"| {row.title} ({row.unit}) | {median(result.peer):,.0f} | {median(result.ours):,.0f} | {ratio:.2f}x "
            f"| {row.must}x | {row.goal}x | {verdict(ratio >= row.must, ratio >= row.goal)} |"
        )
    reached = verdict(weight.pss_mib <= PSS_MUST, weight.pss_mib <= PSS_GOAL)
    lines.append(
        f"| memory when idle (MiB PSS, {weight.processes} processes) | | {weight.pss_mib:.0f} | "
        f"| ≤{PSS_MUST:.0f} | ≤{PSS_GOAL:.0f} | {reached} |"
    )
    seconds = weight.seconds_to_healthy
    reached = verdict(seconds <= HEALTHY_MUST, seconds <= HEALTHY_GOAL)
    lines.append(
        f"| start to healthy (s) | | {seconds:.1f} | | ≤{HEALTHY_MUST:.0f} | ≤{HEALTHY_GOAL:.0f} | {reached} |"
    )
    return "\n".join(lines)


def holds(results: Sequence[Result], weight: Weight) -> bool:
    """Whether the must column is met."""
    return (
        all(result.ratio >= result.row.must for result in results)
        and weight.pss_mib <= PSS_MUST
        and weight.seconds_to_healthy <= HEALTHY_MUST
    )


def write_json(results: Sequence[Result], weight: Weight) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC)
    rows = [
        {
            "title": result.row.title,
            "unit": result.row.unit,
            "must": result.row.must,
            "goal": result.row.goal,
            "docker_registry": list(result.peer),
            "harborsite": list(result.ours),
            "ratio": round(result.ratio, 3),
        }
        for result in results
    ]
    file = RESULTS / f"{when:%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps({"time": when.isoformat(), "rows": rows, "weight": asdict(weight)}, indent=2) + "\n")
    return file


def write_docs(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the table between its marks in docs/performance.md."""
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    DOCS.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
