"""Routes of preheating, below `/api/v2.0/`."""

from django.urls import path

from replication.preheat.api import views

PROJECT = "projects/<str:project_name_or_id>"

urlpatterns = [
    path("p2p/preheat/providers", views.ProvidersView.as_view()),
    path("p2p/preheat/instances", views.InstancesView.as_view()),
    path("p2p/preheat/instances/ping", views.InstancePingView.as_view()),
    path("p2p/preheat/instances/<str:preheat_instance_name>", views.InstanceView.as_view()),
    path(f"{PROJECT}/preheat/providers", views.ProjectProvidersView.as_view()),
    path(f"{PROJECT}/preheat/policies", views.PreheatPoliciesView.as_view()),
    path(f"{PROJECT}/preheat/policies/<str:preheat_policy_name>", views.PreheatPolicyView.as_view()),
]
