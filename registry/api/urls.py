"""Routes of repositories and what is in them, below `/api/v2.0/`."""

from django.urls import path

from registry.api import artifacts, garbage, immutability, repositories, retention, scanners, scanning, search, tags

PROJECT = "projects/<str:project_name_or_id>"
REPOSITORY = f"{PROJECT}/repositories/<repository:repository_name>"
ARTIFACT = f"{REPOSITORY}/artifacts/<str:reference>"
RETENTION = "retentions/<number:id>"

urlpatterns = [
    path("search", search.SearchView.as_view()),
    path("statistics", search.StatisticsView.as_view()),
    path("icons/<str:digest>", artifacts.IconView.as_view()),
    path("repositories", repositories.AllRepositoriesView.as_view()),
    path(f"{PROJECT}/artifacts", artifacts.ProjectArtifactsView.as_view()),
    path(f"{PROJECT}/immutabletagrules", immutability.RulesView.as_view()),
    path(f"{PROJECT}/immutabletagrules/<number:immutable_rule_id>", immutability.RuleView.as_view()),
    path(f"{PROJECT}/scanner", scanners.ProjectScannerView.as_view()),
    path(f"{PROJECT}/scanner/candidates", scanners.ScannerCandidatesView.as_view()),
    path("retentions/metadatas", retention.RetentionMetadataView.as_view()),
    path("retentions", retention.RetentionsView.as_view()),
    path("retentions/<number:id>", retention.RetentionView.as_view()),
    path(f"{RETENTION}/preview", retention.RetentionPreviewView.as_view()),
    path(f"{RETENTION}/executions", retention.RetentionExecutionsView.as_view()),
    path(f"{RETENTION}/executions/<number:eid>", retention.RetentionExecutionView.as_view()),
    path(f"{RETENTION}/executions/<number:eid>/tasks", retention.RetentionTasksView.as_view()),
    path(f"{RETENTION}/executions/<number:eid>/tasks/<number:tid>", retention.RetentionTaskLogView.as_view()),
    path("system/gc", garbage.GarbageRunsView.as_view()),
    path("system/gc/preview", garbage.GarbagePreviewView.as_view()),
    path("system/gc/footprints", garbage.RepositoryFootprintView.as_view()),
    path("system/gc/schedule", garbage.GarbageScheduleView.as_view()),
    path("system/gc/<number:run_id>", garbage.GarbageRunView.as_view()),
    path("system/gc/<number:run_id>/log", garbage.GarbageLogView.as_view()),
    path("scanners", scanners.ScannersView.as_view()),
    path("scanners/ping", scanners.ScannerPingView.as_view()),
    path("scanners/<str:registration_id>", scanners.ScannerView.as_view()),
    path("scanners/<str:registration_id>/metadata", scanners.ScannerMetadataView.as_view()),
    path("scans/all/metrics", scanning.ScanMetricsView.as_view()),
    path("scans/schedule/metrics", scanning.ScheduledScanMetricsView.as_view()),
    path("system/scanAll/schedule", scanning.ScanAllScheduleView.as_view()),
    path("system/scanAll/stop", scanning.StopScanAllView.as_view()),
    path("security/summary", scanning.SecuritySummaryView.as_view()),
    path("security/vul", scanning.VulnerabilitiesView.as_view()),
    path("export/cve", scanning.ExportView.as_view()),
    path("export/cve/executions", scanning.ExportsView.as_view()),
    path("export/cve/execution/<number:execution_id>", scanning.ExecutionOfExportView.as_view()),
    path("export/cve/download/<number:execution_id>", scanning.ExportDownloadView.as_view()),
    path(f"{PROJECT}/repositories", repositories.RepositoriesView.as_view()),
    path(f"{REPOSITORY}/artifacts", artifacts.ArtifactsView.as_view()),
    path(f"{ARTIFACT}/tags", tags.TagsView.as_view()),
    path(f"{ARTIFACT}/tags/<str:tag_name>", tags.TagView.as_view()),
    path(f"{ARTIFACT}/accessories", artifacts.AccessoriesView.as_view()),
    path(f"{ARTIFACT}/labels", artifacts.ArtifactLabelsView.as_view()),
    path(f"{ARTIFACT}/labels/<number:label_id>", artifacts.ArtifactLabelView.as_view()),
    path(f"{ARTIFACT}/scan", scanning.ScanView.as_view()),
    path(f"{ARTIFACT}/scan/stop", scanning.StopScanView.as_view()),
    path(f"{ARTIFACT}/scan/<str:report_id>/log", scanning.ScanLogView.as_view()),
    path(f"{ARTIFACT}/additions/vulnerabilities", scanning.VulnerabilitiesOfArtifactView.as_view()),
    path(f"{ARTIFACT}/additions/<str:addition>", artifacts.AdditionView.as_view()),
    path(ARTIFACT, artifacts.ArtifactView.as_view()),
    path(REPOSITORY, repositories.RepositoryView.as_view()),
]
