"""Which columns of a list somebody has hidden: kept with the account, for every list by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from harborsite.portal import scope
from projects.models import User
from projects.services import preferences

if TYPE_CHECKING:
    from harborsite.portal.pages import PortalAdmin

FIELD = "columns"
_FEWEST = 3  # columns of a list that has any to spare


def shown(request: HttpRequest, page: PortalAdmin[Any]) -> list[str]:
    """The columns to show; always the first one, which leads to the rows."""
    first, *others = map(str, page.list_display)
    hidden = _hidden(request, page)
    return [first, *(name for name in others if name not in hidden)]


def choices(request: HttpRequest, page: PortalAdmin[Any]) -> list[tuple[str, str, bool]]:
    """Name, title and whether it is shown, of each column that may be hidden; none for visitors."""
    if not isinstance(request.user, User) or len(page.list_display) < _FEWEST:
        return []
    hidden = _hidden(request, page)
    return [
        (name, capfirst(str(label_for_field(name, page.model, page))), name not in hidden)
        for name in map(str, page.list_display[1:])
    ]


def choose(request: HttpRequest, page: PortalAdmin[Any]) -> HttpResponse:
    """Keep what has been ticked, and show the list so."""
    ticked = request.POST.getlist(FIELD)
    hidden = [name for name in map(str, page.list_display[1:]) if name not in ticked]
    preferences.hide_columns(user=scope.signed_in(request), page=_key(page), columns=hidden)
    return HttpResponseRedirect(request.get_full_path())


def _key(page: PortalAdmin[Any]) -> str:
    return type(page).__name__


def _hidden(request: HttpRequest, page: PortalAdmin[Any]) -> set[str]:
    return set(request.user.hidden_columns.get(_key(page), ())) if isinstance(request.user, User) else set()
