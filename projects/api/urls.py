"""Routes of people and projects, below `/api/v2.0/`."""

from django.urls import path

from projects.api import (
    configuration,
    labels,
    members,
    projects,
    quotas,
    robots,
    system,
    usergroups,
    users,
    webhooks,
)

PROJECT = "projects/<str:project_name_or_id>"
WEBHOOK = f"{PROJECT}/webhook/policies/<number:webhook_policy_id>"

urlpatterns = [
    path("swagger.json", system.DocumentView.as_view()),
    path("ping", system.PingView.as_view()),
    path("health", system.HealthView.as_view()),
    path("systeminfo", system.SystemInfoView.as_view()),
    path("systeminfo/getcert", system.RootCertificateView.as_view()),
    path("systeminfo/volumes", system.VolumesView.as_view()),
    path("configurations", configuration.ConfigurationsView.as_view()),
    path("internalconfig", configuration.InternalConfigurationView.as_view()),
    path("users", users.UsersView.as_view()),
    path("users/current", users.CurrentUserView.as_view()),
    path("users/current/permissions", users.CurrentPermissionsView.as_view()),
    path("users/search", users.UserSearchView.as_view()),
    path("users/<number:user_id>", users.UserView.as_view()),
    path("users/<number:user_id>/sysadmin", users.SysadminView.as_view()),
    path("users/<number:user_id>/password", users.PasswordView.as_view()),
    path("users/<number:user_id>/cli_secret", users.CliSecretView.as_view()),
    path("usergroups", usergroups.UserGroupsView.as_view()),
    path("usergroups/search", usergroups.UserGroupSearchView.as_view()),
    path("usergroups/<number:group_id>", usergroups.UserGroupView.as_view()),
    path("permissions", robots.PermissionsView.as_view()),
    path("robots", robots.RobotsView.as_view()),
    path("robots/<number:robot_id>", robots.RobotView.as_view()),
    path("labels", labels.LabelsView.as_view()),
    path("labels/<number:label_id>", labels.LabelView.as_view()),
    path("quotas", quotas.QuotasView.as_view()),
    path("quotas/<number:id>", quotas.QuotaView.as_view()),
    path("system/CVEAllowlist", projects.SystemAllowlistView.as_view()),
    path("projects", projects.ProjectsView.as_view()),
    path(PROJECT, projects.OneProjectView.as_view()),
    path(f"{PROJECT}/_deletable", projects.DeletableView.as_view()),
    path(f"{PROJECT}/summary", projects.SummaryView.as_view()),
    path(f"{PROJECT}/metadatas", projects.MetadatasView.as_view()),
    path(f"{PROJECT}/metadatas/<str:meta_name>", projects.MetadataView.as_view()),
    path(f"{PROJECT}/webhook/policies", webhooks.WebhookPoliciesView.as_view()),
    path(f"{PROJECT}/webhook/policies/<number:webhook_policy_id>", webhooks.WebhookPolicyView.as_view()),
    path(f"{WEBHOOK}/executions", webhooks.WebhookExecutionsView.as_view()),
    path(f"{WEBHOOK}/executions/<number:execution_id>/tasks", webhooks.WebhookTasksView.as_view()),
    path(
        f"{WEBHOOK}/executions/<number:execution_id>/tasks/<number:task_id>/log",
        webhooks.WebhookTaskLogView.as_view(),
    ),
    path(f"{PROJECT}/webhook/lasttrigger", webhooks.LastTriggerView.as_view()),
    path(f"{PROJECT}/webhook/jobs", webhooks.WebhookJobsView.as_view()),
    path(f"{PROJECT}/webhook/events", webhooks.WebhookEventsView.as_view()),
    path(f"{PROJECT}/members", members.MembersView.as_view()),
    path(f"{PROJECT}/members/<number:mid>", members.MemberView.as_view()),
]
