"""Forms that describe a server elsewhere, with a button that only asks whether it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from harborsite.errors import AppError
from harborsite.portal.pages import form_page

if TYPE_CHECKING:
    from harborsite.portal.site import PortalSite

TEMPLATE = "portal/tried_form.html"


def tried_form_page(
    site: PortalSite,
    request: HttpRequest,
    form: Any,
    save: Callable[[dict[str, Any]], object],
    ask: Callable[[], str],
    *,
    may_lack: str = "",
    **context: Any,
) -> HttpResponse:
    """As `form_page`; the other button calls `ask`, and what that says or raises is shown. Nothing is saved by it.

    `may_lack` is the field that asking needs no value of.
    """
    context.setdefault("template", TEMPLATE)
    if "test" not in request.POST:
        return form_page(site, request, form, save, **context)
    if may_lack:
        form.fields[may_lack].required = False
    frame = {
        **site.each_context(request),
        "submit_label": _("Save"),
        "guarded": True,
        "cancel_url": context["next_url"],
    }
    return render(request, context["template"], {**frame, **context, "form": form, "answer": _answer(form, ask)})


def answer_of(ask: Callable[[], str]) -> tuple[str, str]:
    """How asking went: a level, and what to say."""
    try:
        return "success", ask()
    except AppError as error:
        return "error", error.message


def _answer(form: Any, ask: Callable[[], str]) -> tuple[str, str]:
    if form.is_valid():
        return answer_of(ask)
    wrong = (f"{form[name].label}: {' '.join(map(str, texts))}" for name, texts in form.errors.items())
    return "error", " ".join(wrong)
