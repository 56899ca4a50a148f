"""Scanning, as a Harbor answers that has no scanner registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from harborsite.api import body, query
from harborsite.api.paging import paged_list
from harborsite.errors import BadRequest, NotFound, PreconditionFailed, Unauthorized, Unprocessable
from projects.api.base import SIGNED_IN, ApiView, ProjectView
from projects.services import lifecycle
from registry.api.artifacts import ArtifactBase
from registry.models import Artifact

SCAN_TYPES = ("vulnerability", "sbom")
EXPORT_TYPE = "application/vnd.security.vulnerability.report; version=1.1"


class NoScanner(PreconditionFailed):
    default_message = "no scanner is configured, it's not possible to scan"


@dataclass(frozen=True, slots=True)
class ScannerChoice:
    uuid: str


@dataclass(frozen=True, slots=True)
class ScanRequest:
    scan_type: str = "vulnerability"

    def check(self) -> None:
        if self.scan_type not in SCAN_TYPES:
            raise Unprocessable(f"scan_type in body should be one of [{' '.join(SCAN_TYPES)}]")


def _scan_request(request: Request) -> ScanRequest:
    wanted = body.read(request, ScanRequest) if request.body else ScanRequest()
    wanted.check()
    return wanted


class ScanView(ArtifactBase):
    actions = {"POST": "scan:create"}

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Response:
        _scan_request(request)
        artifact = self.artifact
        raise NoScanner(f"no available scanner for project: {artifact.repository.project_id}")


class StopScanView(ArtifactBase):
    actions = {"POST": "scan:stop"}

    def post(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Response:
        _scan_request(request)
        raise BadRequest(f"no scan job for artifact digest={self.artifact.digest}")


class ScanLogView(ArtifactBase):
    actions = {"GET": "scan:read"}

    def get(
        self, request: Request, project_name_or_id: str, repository_name: str, reference: str, report_id: str
    ) -> Response:
        raise NotFound(f"the log of report {report_id[:100]} is not found")


class VulnerabilitiesOfArtifactView(ArtifactBase):
    actions = {"GET": "artifact-addition:read"}

    def get(self, request: Request, project_name_or_id: str, repository_name: str, reference: str) -> Response:
        project_id = self.artifact.repository.project_id
        raise NotFound(f"no scanner registration configured for project: {project_id}")


class ProjectScannerView(ProjectView):
    """The choice is kept with the project's settings, whether there is such a scanner or not."""

    actions = {"GET": "scanner:read", "PUT": "scanner:create"}

    def authorise(self, action: str) -> None:
        """Visitors see public projects, but not by what they are scanned."""
        if not self.who.is_authenticated:
            raise Unauthorized
        super().authorise(action)

    def get(self, request: Request, project_name_or_id: str) -> Response:
        return Response({})

    def put(self, request: Request, project_name_or_id: str) -> Response:
        uuid = body.read(request, ScannerChoice).uuid
        lifecycle.update_project(project=self.project, actor=self.who, metadata={"projectScanner": uuid})
        return Response()


class ScannerCandidatesView(ProjectView):
    actions = {"GET": "scanner:create"}

    def get(self, request: Request, project_name_or_id: str) -> Response:
        return paged_list(request, [])


class ScannersView(ApiView):
    actions = {"GET": "scanner:list"}

    def get(self, request: Request) -> Response:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [])


class ScannerView(ApiView):
    actions = {
        "GET": "scanner:read",
        "PUT": "scanner:update",
        "PATCH": "scanner:update",
        "DELETE": "scanner:delete",
    }

    def get(self, request: Request, registration_id: str) -> Response:
        raise NotFound(f"scanner {registration_id[:100]} not found")

    put = patch = delete = get


class ScanAllScheduleView(ApiView):
    actions = {"GET": "scan-all:read", "POST": "scan-all:create", "PUT": "scan-all:update"}

    def get(self, request: Request) -> Response:
        raise NoScanner

    post = put = get


class StopScanAllView(ApiView):
    actions = {"POST": "scan-all:stop"}

    def post(self, request: Request) -> Response:
        raise NoScanner


class ScanMetricsView(ApiView):
    actions = {"GET": "scan-all:read"}

    def get(self, request: Request) -> Response:
        raise NoScanner


class ScheduledScanMetricsView(ScanMetricsView):
    """The same for what the schedule started."""


class SecuritySummaryView(ApiView):
    actions = {"GET": "security-hub:read"}

    def get(self, request: Request) -> Response:
        counts = ("critical", "high", "medium", "low", "none", "unknown", "fixable", "scanned")
        shape: dict[str, Any] = {f"{name}_cnt": 0 for name in counts}
        return Response(shape | {"total_vuls": 0, "total_artifact": Artifact.objects.listed().count()})


class VulnerabilitiesView(ApiView):
    actions = {"GET": "security-hub:list"}

    def get(self, request: Request) -> Response:
        query.parse(request.GET.get("q", ""))
        return paged_list(request, [])


class ExportView(ApiView):
    actions = {"POST": SIGNED_IN}

    def post(self, request: Request) -> Response:
        kind = request.headers.get("X-Scan-Data-Type")
        if not kind:
            raise Unprocessable("X-Scan-Data-Type in header is required")
        if kind != EXPORT_TYPE:
            raise BadRequest(f"Unsupported MIME type : {kind[:200]}")
        raise NoScanner


class ExportsView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Response:
        return Response({"items": []})


class ExecutionOfExportView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request, execution_id: int) -> Response:
        raise NotFound(f"execution {execution_id} not found")


class ExportDownloadView(ExecutionOfExportView):
    """The file of an export."""
