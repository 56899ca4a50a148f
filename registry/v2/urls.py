"""The routes of `/v2`, most specific first; names and references are judged by the views, which answer JSON."""

from __future__ import annotations

from django.urls import re_path

from registry.v2.views.blobs import BlobView
from registry.v2.views.listings import CatalogView, PingView, ReferrersView, TagsView, UnknownView
from registry.v2.views.manifests import ManifestView
from registry.v2.views.uploads import UploadsView, UploadView

_NAME = r"^v2/(?P<name>[\s\S]+)"

urlpatterns = [
    re_path(r"^v2/$", PingView.as_view()),
    re_path(r"^v2/_catalog$", CatalogView.as_view()),
    re_path(rf"{_NAME}/tags/list$", TagsView.as_view()),
    re_path(rf"{_NAME}/manifests/(?P<reference>[^/]+)$", ManifestView.as_view()),
    re_path(rf"{_NAME}/referrers/(?P<digest>[^/]+)$", ReferrersView.as_view()),
    re_path(rf"{_NAME}/blobs/uploads/?$", UploadsView.as_view()),
    re_path(rf"{_NAME}/blobs/uploads/(?P<upload_id>[^/]+)$", UploadView.as_view()),
    re_path(rf"{_NAME}/blobs/(?P<digest>[^/]+)$", BlobView.as_view()),
    re_path(r"^v2(?:/|$)", UnknownView.as_view()),
]
