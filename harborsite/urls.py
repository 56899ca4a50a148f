"""Where everything hangs: the APIs first, the portal at `/` last."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from harborsite.config import current
from harborsite.observability.metrics import MetricsView
from projects.api.system import ExplorerView, UnknownView, VersionView
from registry.auth.views import TokenView


def _metrics() -> list[URLPattern]:
    config = current()
    return [path(config.metric_path.lstrip("/"), MetricsView.as_view())] if config.metric_enabled else []


urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("registry.v2.urls")),
    path("service/token", TokenView.as_view()),
    path("api/version", VersionView.as_view()),
    path("api/v2.0/", include("harborsite.api.urls")),
    path("devcenter-api-2.0", ExplorerView.as_view()),
    path("c/", include("projects.api.session_urls")),
    re_path(r"^api(/|$)", UnknownView.as_view()),
    *_metrics(),
    path("", admin.site.urls),
]
handler400 = "harborsite.portal.failures.bad_request"
handler403 = "harborsite.portal.failures.forbidden"
handler404 = "harborsite.portal.failures.not_found"
handler500 = "harborsite.portal.failures.server_error"
