"""Scanning, as a Harbor answers that has no scanner, whether one is registered or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Never, TypedDict

from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Paged, Time
from harborsite.api.paging import paged_list
from harborsite.errors import BadRequest, NotFound, PreconditionFailed, Unprocessable
from projects.api.base import SIGNED_IN, ApiView
from registry.api.artifacts import ArtifactBase
from registry.models import Artifact
from registry.services import scanners

SCAN_TYPES = ("vulnerability", "sbom")
EXPORT_TYPE = "application/vnd.security.vulnerability.report; version=1.1"


class NoScanner(PreconditionFailed):
    default_message = "no scanner is configured, it's not possible to scan"


@dataclass(frozen=True, slots=True)
class ScanRequest:
    scan_type: str = "vulnerability"

    def check(self) -> None:
        if self.scan_type not in SCAN_TYPES:
            raise Unprocessable(f"scan_type in body should be one of [{' '.join(SCAN_TYPES)}]")


class SecuritySummary(TypedDict):
    critical_cnt: int
    high_cnt: int
    medium_cnt: int
    low_cnt: int
    none_cnt: int
    unknown_cnt: int
    fixable_cnt: int
    scanned_cnt: int
    total_vuls: int
    total_artifact: int


class ShownVulnerability(TypedDict):
    project_id: int
    repository_name: str
    digest: str
    tags: list[str]
    cve_id: str
    severity: str
    status: str
    cvss_v3_score: float
    package: str
    version: str
    fixed_version: str
    desc: str
    links: list[str]


class ShownExport(TypedDict):
    id: int
    user_id: int
    status: str
    trigger: str
    start_time: Time
    end_time: Time
    status_text: str
    user_name: str
    file_present: bool


class Exports(TypedDict):
    items: list[ShownExport]


def _scan_request(request: Request) -> ScanRequest:
    wanted = body.read(request, ScanRequest) if request.body else ScanRequest()
    wanted.check()
    return wanted


class ScanView(ArtifactBase):
    actions = {"POST": "scan:create"}

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Never:
        _scan_request(request)
        project = self.artifact.repository.project
        if scanner := scanners.of_project(project):
            raise NoScanner(f"scanner {scanner.name} is registered, but nothing is scanned here")
        raise NoScanner(f"no available scanner for project: {project.pk}")


class StopScanView(ArtifactBase):
    actions = {"POST": "scan:stop"}

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Never:
        _scan_request(request)
        raise BadRequest(f"no scan job for artifact digest={self.artifact.digest}")


class ScanLogView(ArtifactBase):
    actions = {"GET": "scan:read"}

    def get(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str, report_id: str
    ) -> Never:
        raise NotFound(f"the log of report {report_id[:100]} is not found")


class VulnerabilitiesOfArtifactView(ArtifactBase):
    actions = {"GET": "artifact-addition:read"}

    def get(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Never:
        project_id = self.artifact.repository.project_id
        raise NotFound(f"no scanner registration configured for project: {project_id}")


class ScanAllScheduleView(ApiView):
    actions = {"GET": "scan-all:read", "POST": "scan-all:create", "PUT": "scan-all:update"}

    def get(self, request: Request) -> Never:
        raise NoScanner

    post = put = get


class StopScanAllView(ApiView):
    actions = {"POST": "scan-all:stop"}

    def post(self, request: Request) -> Never:
        raise NoScanner


class ScanMetricsView(ApiView):
    actions = {"GET": "scan-all:read"}

    def get(self, request: Request) -> Never:
        raise NoScanner


class ScheduledScanMetricsView(ScanMetricsView):
    """The same for what the schedule started."""


class SecuritySummaryView(ApiView):
    actions = {"GET": "security-hub:read"}

    def get(self, request: Request) -> Answer[SecuritySummary]:
        return Answer(
            {
                "critical_cnt": 0,
                "high_cnt": 0,
                "medium_cnt": 0,
                "low_cnt": 0,
                "none_cnt": 0,
                "unknown_cnt": 0,
                "fixable_cnt": 0,
                "scanned_cnt": 0,
                "total_vuls": 0,
                "total_artifact": Artifact.objects.listed().count(),
            }
        )


class VulnerabilitiesView(ApiView):
    actions = {"GET": "security-hub:list"}

    def get(self, request: Request) -> Paged[ShownVulnerability]:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [], list)


class ExportView(ApiView):
    actions = {"POST": SIGNED_IN}

    def post(self, request: Request) -> Never:
        kind = request.headers.get("X-Scan-Data-Type")
        if not kind:
            raise Unprocessable("X-Scan-Data-Type in header is required")
        if kind != EXPORT_TYPE:
            raise BadRequest(f"Unsupported MIME type : {kind[:200]}")
        raise NoScanner


class ExportsView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Answer[Exports]:
        return Answer({"items": []})


class ExecutionOfExportView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request, execution_id: int) -> Never:
        raise NotFound(f"execution {execution_id} not found")


class ExportDownloadView(ExecutionOfExportView):
    """The file of an export."""
