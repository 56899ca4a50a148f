"""Where everything hangs: the APIs first, the portal at `/` last."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from registry.auth.views import TokenView

urlpatterns: list[URLPattern | URLResolver] = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("registry.v2.urls")),
    path("service/token", TokenView.as_view()),
    path("", admin.site.urls),
]
