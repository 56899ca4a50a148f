"""Routes of repositories and what is in them, below `/api/v2.0/`."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
