"""The OCI distribution conformance suite, with every switch of its own: nothing may fail, nothing may be skipped."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests import services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

EVERYTHING = {
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_DATA_SPARSE": "true",
}
# What the suite itself counts in each mode: fewer would mean that some of it did not run.
CASES = {"stable": 862, "everything": 1032}
SWITCHED_OFF = "is disabled in the configuration"  # how the report tells this from a skip
SHOWN = 15  # leaf tests whose whole exchange is printed


@pytest.mark.parametrize("mode", CASES)
def test_no_case_fails_and_none_is_skipped(
    mode: str, site: services.Site, registry: Registry, home: Path, tmp_path: Path
) -> None:
    project = f"conformance-{mode}"
    registry.create_project(project)
    settings = {
        "OCI_REGISTRY": site.host,
        "OCI_TLS": "disabled",
        "OCI_VERSION": "1.1",
        "OCI_REPO1": f"{project}/one",
        "OCI_REPO2": f"{project}/two",
        "OCI_USERNAME": registry.user,
        "OCI_PASSWORD": registry.password,
        "OCI_CACHE_AUTH": "true",
        "OCI_RESULTS_DIR": str(tmp_path),
        "OCI_LOG": "error",
    }
    Tool("conformance", home, settings | (EVERYTHING if mode == "everything" else {})).run()
    report = tmp_path / "junit.xml"
    assert report.exists(), "the suite did not take its configuration"
    suites = ElementTree.parse(report).getroot()
    problems = list(filter(None, map(problem, suites.iter("testcase"))))
    counted = {key: int(suites.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    summary = f"{counted}, {len(problems)} leaf tests:\n" + "\n".join(problems[:SHOWN])
    assert not problems, summary
    assert counted["failures"] == counted["errors"] == counted["skipped"] == 0, summary
    assert counted["tests"] >= CASES[mode], summary


def problem(case: ElementTree.Element) -> str:
    """The name, the complaint and the recorded exchange of a case that did not pass; else nothing."""
    said = " ".join(part.text or part.get("message") or "" for part in case if part.tag != "system-err")
    exchange = case.findtext("system-err") or ""
    if case.get("status") == "passed" or SWITCHED_OFF in exchange + said:
        return ""
    return f"* {case.get('name')}: {case.get('status')} {said}\n{exchange[-3000:]}"
