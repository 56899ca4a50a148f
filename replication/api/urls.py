"""Routes of registries and replication, below `/api/v2.0/`."""

from django.urls import path

from replication.api import executions, policies, registries

urlpatterns = [
    path("registries", registries.RegistriesView.as_view()),
    path("registries/ping", registries.RegistryPingView.as_view()),
    path("registries/<number:id>", registries.RegistryView.as_view()),
    path("registries/<number:id>/info", registries.RegistryInfoView.as_view()),
    path("replication/adapters", registries.AdaptersView.as_view()),
    path("replication/adapterinfos", registries.AdapterInfosView.as_view()),
    path("replication/policies", policies.PoliciesView.as_view()),
    path("replication/policies/<number:id>", policies.PolicyView.as_view()),
    path("replication/executions", executions.ExecutionsView.as_view()),
    path("replication/executions/<number:id>", executions.ExecutionView.as_view()),
    path("replication/executions/<number:id>/tasks", executions.TasksView.as_view()),
    path("replication/executions/<number:id>/tasks/<number:task_id>/log", executions.TaskLogView.as_view()),
]
