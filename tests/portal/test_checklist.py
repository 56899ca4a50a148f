"""The checklist of the portal names tests that are there."""

from __future__ import annotations

import re

from tests.services import ROOT

HERE = ROOT / "tests" / "portal"


def test_every_test_that_the_checklist_names_is_there() -> None:
    named: list[tuple[str, str]] = []
    for row in (ROOT / "docs" / "portal-checklist.md").read_text(encoding="utf-8").splitlines():
        for file, test in re.findall(r"`([\w./]*test_\w+\.py|…)(?:::(\w+))?`", row):
            named.append((named[-1][0] if file == "…" else file, test))
    assert len(named) > 50
    gone = [f"{file}::{test}" for file, test in named if f"def {test}" not in (HERE / file).read_text(encoding="utf-8")]
    assert not gone, "\n".join(gone)
