"""Everything below `/api/v2.0/`, put together from the apps."""

from django.urls import include, path

from harborsite.api import converters

converters.register()

urlpatterns = [
    path("", include("audit.api.urls")),
    path("", include("registry.api.urls")),
    path("", include("replication.api.urls")),
    path("", include("replication.preheat.api.urls")),
    path("", include("projects.api.urls")),
]
