"""Recorded conversations with Harbor 2.16, played against a running Harborsite.

What differs on purpose is named here with its reason, and for people in docs/harbor-differences.md. A step that is
listed and agrees after all fails, too: the list says what is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import Site, harborsite
from tests.transcripts import harness

FOLDER = Path(harness.__file__).parent

# Parts of Harbor that are not served yet.
NOT_SERVED = {"preheat-instances", "registries", "replication-policies", "scanners"}

# Steps whose answer is another one on purpose.
DIFFERENT: dict[str, dict[str, str]] = {
    "labels-global": {"no name": "a label needs a name; the recorded server had one without"},
    "registry-push-pull": {"delete by tag": "the distribution spec lets clients delete a tag"},
    "registry-uploads": {
        "start and finish at once": "a single POST with a digest stores the blob, as the spec has it",
        "chunk out of order": "the spec wants 416, which the conformance suite asks for",
    },
    "session-login": {
        "basic auth with cookies, write needs the CSRF token": "basic credentials are proof enough; cookies beside "
        "them are what scripts with a cookie jar send"
    },
    "webhooks": {"changed": "a change does not forget when the policy was made"},
}

SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem not in NOT_SERVED)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite(allowed_networks="10.0.0.0/8, 127.0.0.0/8") as running:
        # The recorded server had collected garbage before: its history has more than one page of one.
        wanted = {"schedule": {"type": "Manual"}, "parameters": {"dry_run": True}}
        step = {"method": "POST", "path": "/api/v2.0/system/gc/schedule", "json": wanted}
        assert harness.Session(running.url, ("admin", running.password)).request(step).status == 201
        yield running


def played(site: Site, scenario: dict[str, Any]) -> dict[str, list[str]]:
    """The differences of each step."""
    session = harness.Session(site.url, ("admin", site.password), scenario.get("identities"))
    found: dict[str, list[str]] = {}

    def visit(step: dict[str, Any], response: harness.Response | None, problem: str | None) -> None:
        comparison = harness.Comparison(session.variables)
        if response is not None:
            try:
                comparison.step(step, response)
            except harness.Unresolved as missing:
                comparison.differences.append(f"expected variable {missing} was never captured")
        found.setdefault(step["name"], []).extend(comparison.differences + ([problem] if problem else []))

    harness.play(scenario, session, visit)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_harborsite_answers_as_harbor_did(site: Site, name: str) -> None:
    scenario = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    differences = {step: lines for step, lines in played(site, scenario).items() if lines}
    wanted = DIFFERENT.get(name, {}).keys()
    unexpected = {step: lines for step, lines in differences.items() if step not in wanted}
    assert not unexpected, json.dumps(unexpected, indent=1, ensure_ascii=False)
    assert wanted <= differences.keys()
