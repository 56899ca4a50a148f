"""The pages for what cannot be shown."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from harborsite.observability import logs


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    if not hasattr(request, "user"):  # refused before anybody was recognised, as for a name that no host can have
        return _plain_page(status, title, text)
    context = {**admin.site.each_context(request), "title": title, "text": text}
    return render(request, "portal/error.html", context, status=status)


def _plain_page(status: int, title: str, text: str) -> HttpResponse:
    """Without the frame, which asks the database who is there."""
    context = {"site_title": admin.site.site_title, "title": title, "text": text}
    return HttpResponse(render_to_string("portal/plain_error.html", context), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 400, _("Bad request"), _("This address cannot be understood."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 403, _("Not allowed"), str(exception) or _("Your role does not allow this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 404, _("Not found"), _("There is nothing here, or you may not see it."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(
        request, 403, _("Not allowed"), _("The form was too old, or came from another site. Go back and try again.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    text = _("Something went wrong in the server. Its log says what, under the request id {identity}.")
    return _plain_page(500, _("Server error"), text.format(identity=logs.request_id.get()))
