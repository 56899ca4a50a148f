"""Forms that describe a server elsewhere, with a button that only asks whether it answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import AppError
from harborsite.portal.pages import PortalAdmin, form_page

if TYPE_CHECKING:
    from harborsite.portal.site import PortalSite

M = TypeVar("M", bound=Model)
TEMPLATE = "portal/tried_form.html"
MOST_ASKED = 5  # servers for one page, some seconds each


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


class AskedAdmin(PortalAdmin[M]):
    """Rows that describe servers elsewhere: the action `test_chosen` asks some of them.

    No list asks by itself: a page would wait for the slowest of them.
    """

    def ask(self, row: M) -> str:
        """What to say where it answers; raises AppError."""
        raise NotImplementedError

    @admin.action(permissions=["change"], description=gettext_lazy("Test connection"))
    def test_chosen(self, request: HttpRequest, rows: QuerySet[M]) -> None:
        if rows.count() > MOST_ASKED:
            text = _("Choose at most {count} at once: each is waited for.").format(count=MOST_ASKED)
            self.message_user(request, text, messages.ERROR)
            return
        for row in rows:
            level, text = answer_of(partial(self.ask, row))
            self.message_user(request, format_html("{}: {}", row, text), getattr(messages, level.upper()))


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
