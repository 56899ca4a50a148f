"""How somebody has a list: which columns, how many rows on a page, whether as cards.

Kept with the account, for every list by itself; an address may say otherwise. Visitors have the address alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.text import capfirst

from harborsite.portal import scope
from projects.models import User
from projects.services import preferences

if TYPE_CHECKING:
    from harborsite.portal.pages import PortalAdmin

COLUMNS, SIZE, CARDS = "columns", "page_size", "cards"
PAGE_SIZES = (15, 25, 50, 100)
_FIELDS = (COLUMNS, SIZE, CARDS)
_YES, _NO = "1", "0"
_FEWEST = 3  # columns of a list that has any to spare


def columns(request: HttpRequest, page: PortalAdmin[Any]) -> list[str]:
    """The columns to show; always the first one, which leads to the rows."""
    first, *others = map(str, page.list_display)
    hidden = _kept(request, page).get("hidden", ())
    return [first, *(name for name in others if name not in hidden)]


def column_choices(request: HttpRequest, page: PortalAdmin[Any]) -> list[tuple[str, str, bool]]:
    """Name, title and whether it is shown, of each column that may be hidden; none for visitors."""
    if not isinstance(request.user, User) or len(page.list_display) < _FEWEST:
        return []
    hidden = _kept(request, page).get("hidden", ())
    return [
        (name, capfirst(str(label_for_field(name, page.model, page))), name not in hidden)
        for name in map(str, page.list_display[1:])
    ]


def page_size(request: HttpRequest, page: PortalAdmin[Any]) -> int:
    asked = request.GET.get(SIZE, "")
    return int(asked) if asked in map(str, PAGE_SIZES) else _kept(request, page).get("size", PAGE_SIZES[0])


def as_cards(request: HttpRequest, page: PortalAdmin[Any]) -> bool:
    """Only where the list knows cards."""
    asked = request.GET.get(CARDS) or (_YES if _kept(request, page).get("cards") else _NO)
    return bool(page.cards_template) and asked == _YES


def are_kept(request: HttpRequest) -> bool:
    return isinstance(request.user, User)


def chosen(request: HttpRequest) -> QueryDict:
    """What a form about looks says, and nothing else that was sent with it."""
    return QueryDict(urlencode([(name, value) for name in _FIELDS for value in request.POST.getlist(name)]))


def keep(request: HttpRequest, page: PortalAdmin[Any]) -> HttpResponse:
    """Keep what has been chosen, and show the list so, from its first row."""
    user, sent, kept = scope.signed_in(request), chosen(request), dict[str, Any]()
    if COLUMNS in sent:
        kept["hidden"] = [name for name in map(str, page.list_display[1:]) if name not in sent.getlist(COLUMNS)]
    if (size := sent.get(SIZE, "")) in map(str, PAGE_SIZES):
        kept["size"] = int(size)
    if page.cards_template and (cards := sent.get(CARDS)) in (_YES, _NO):
        kept["cards"] = cards == _YES
    if kept:
        preferences.keep_list(user=user, page=_key(page), **kept)
    stays = request.GET.copy()
    for name in (SIZE, CARDS) if COLUMNS in sent else (SIZE, CARDS, "p"):
        stays.pop(name, None)
    return HttpResponseRedirect(f"{request.path}?{stays.urlencode()}" if stays else request.path)


def _key(page: PortalAdmin[Any]) -> str:
    return type(page).__name__


def _kept(request: HttpRequest, page: PortalAdmin[Any]) -> dict[str, Any]:
    return dict(request.user.lists.get(_key(page), {})) if isinstance(request.user, User) else {}
