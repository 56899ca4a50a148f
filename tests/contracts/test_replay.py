"""Recorded conversations with Harbor 2.16, played against a running Harborsite.

What differs on purpose is named here with its reason, and for people in docs/harbor-differences.md. A step that is
listed and agrees after all fails, too: the list says what is true.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

from tests.services import ROOT, Site, harborsite

RECORDED = ROOT.parent / "shared" / "harbor" / "transcripts"

# Steps whose answer is another one on purpose.
DIFFERENT: dict[str, dict[str, str]] = {
    "labels-global": {"no name": "a label needs a name; the recorded server had one without"},
    "registry-push-pull": {"delete by tag": "the distribution spec lets clients delete a tag"},
    "registry-uploads": {
        "start and finish at once": "a single POST with a digest stores the blob, as the spec has it",
        "chunk out of order": "the spec wants 416, which the conformance suite asks for",
    },
    "replication-policies": dict.fromkeys(
        ("read", "list", "changed"), "the recorded server's own address was that of a core behind a proxy"
    ),
    "scanners": dict.fromkeys(
        ("duplicate name", "duplicate address"), "an error code means one status here, and UNKNOWN is that of 500"
    ),
    "session-login": {
        "basic auth with cookies, write needs the CSRF token": "basic credentials are proof enough; cookies beside "
        "them are what scripts with a cookie jar send"
    },
    "webhooks": {"changed": "a change does not forget when the policy was made"},
}

SCENARIOS = sorted({path.stem for path in RECORDED.glob("open/*.json")})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite(allowed_networks="10.0.0.0/8, 127.0.0.0/8") as running:
        # The recorded server had collected garbage before: its history has more than one page of one.
        wanted = {"schedule": {"type": "Manual"}, "parameters": {"dry_run": True}}
        request = Request(f"{running.url}/api/v2.0/system/gc/schedule", json.dumps(wanted).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Basic " + b64encode(f"admin:{running.password}".encode()).decode())
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 201
        yield running


def differences(site: Site, scenario: str) -> dict[str, list[str]]:
    """The steps of a scenario that were answered otherwise than recorded, each with what differs."""
    argv = [
        sys.executable,
        str(RECORDED / "replay.py"),
        site.url,
        str(RECORDED / "open" / f"{scenario}.json"),
        "--json",
    ]
    played = subprocess.run([*argv, "--admin", f"admin:{site.password}"], stdout=subprocess.PIPE, text=True)
    steps = [step for one in json.loads(played.stdout)["scenarios"] for step in one["steps"]]
    assert steps, played
    return {step["step"]: step["differences"] for step in steps if not step["passed"]}


def test_the_recorded_conversations_are_there() -> None:
    assert SCENARIOS, f"no transcripts below {RECORDED}"


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_harborsite_answers_as_harbor_did(site: Site, name: str) -> None:
    found = differences(site, name)
    wanted = DIFFERENT.get(name, {}).keys()
    unexpected = {step: lines for step, lines in found.items() if step not in wanted}
    assert not unexpected, json.dumps(unexpected, indent=1, ensure_ascii=False)
    assert wanted <= found.keys()
