"""Routes of the audit log, below `/api/v2.0/`."""

from django.urls import path

from audit.api import purge, views

PROJECT = "projects/<str:project_name_or_id>"

urlpatterns = [
    path("audit-logs", views.OldLogsView.as_view()),
    path("auditlog-exts", views.AuditLogsView.as_view()),
    path("auditlog-exts/events", views.EventTypesView.as_view()),
    path("system/purgeaudit", purge.PurgeRunsView.as_view()),
    path("system/purgeaudit/schedule", purge.PurgeScheduleView.as_view()),
    path("system/purgeaudit/<number:run_id>", purge.PurgeRunView.as_view()),
    path("system/purgeaudit/<number:run_id>/log", purge.PurgeLogView.as_view()),
    path(f"{PROJECT}/logs", views.OldProjectLogsView.as_view()),
    path(f"{PROJECT}/auditlog-exts", views.ProjectLogsView.as_view()),
]
