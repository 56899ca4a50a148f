"""The base of every admin class: lists through the admin's own changelist, writes through services alone.

The admin's automatic addresses (add, change, delete, history) are not mounted: they would show more fields than a
tab does, to everyone who may see the list. Each class mounts its pages itself in `get_urls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.errors import AppError
from harborsite.portal import looks, navigation, scope
from harborsite.portal.forms import judgement
from projects import params
from projects.models import User

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _ModelAdmin

    _Paginator = Paginator[Any]
    from django.utils.functional import _StrOrPromise

    from harborsite.portal.site import PortalSite
else:
    from django.contrib.admin import ModelAdmin

    _Paginator = Paginator

    class _ModelAdmin(ModelAdmin):
        """Lets subclasses name their model, as the type stubs have it."""

        __class_getitem__ = classmethod(lambda cls, _: cls)


M = TypeVar("M", bound=Model)
R = TypeVar("R", bound=Model)
MOST_COUNTED = 10_000
_SELECT_ROW = "Select this object for an action - {}"  # the admin's own words, in its own catalogue
_SEARCHED = "portal_searched"


class CappedPaginator(_Paginator):
    """Counts as far as anybody pages: a million rows cost no more than MOST_COUNTED; searching finds the rest.

    A list that `begins` with its first page reads that first: when it is all there is, nothing is counted.
    """

    is_capped = False
    begins = False

    @cached_property
    def first_rows(self) -> list[Any]:
        return list(cast("QuerySet[Any]", self.object_list)[: self.per_page + 1])

    @cached_property
    def count(self) -> int:
        if self.begins and len(self.first_rows) <= self.per_page:
            return len(self.first_rows)
        rows = cast("QuerySet[Any]", self.object_list)
        found = rows.order_by()[: MOST_COUNTED + 1].count()
        self.is_capped = found > MOST_COUNTED
        return min(MOST_COUNTED, found)

    def page(self, number: int | str) -> Page[Any]:
        if self.begins and number == 1:
            return Page(self.first_rows[: self.per_page], number, self)
        return super().page(number)


class PortalChangeList(ChangeList):
    """A list whose page size is in the address, and whose rows the admin class completes a page at a time."""

    model_admin: PortalAdmin[Any]

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        for name in (looks.SIZE, looks.CARDS):
            found.pop(name, None)
        return found

    def get_results(self, request: HttpRequest) -> None:
        self.looks_are_kept = looks.are_kept(request)
        self.list_per_page = looks.page_size(request, self.model_admin)
        super().get_results(request)
        paginator = cast("CappedPaginator", self.paginator)
        rows = list(paginator.page(1) if paginator.begins else self.result_list)
        self.model_admin.complete(request, rows)
        self.result_list = cast("QuerySet[Any]", rows)
        self.is_capped = paginator.is_capped
        self.searched = vars(request).get(_SEARCHED, 0)
        self.first_row = (self.page_num - 1) * self.list_per_page + 1 if rows else 0
        self.last_row = self.first_row + len(rows) - 1 if rows else 0

    def url_for_result(self, result: Model) -> str:
        return self.model_admin.url_of(result)

    def page_sizes(self) -> list[tuple[int, str, bool]]:
        """Each choice with its address and whether it is the one in force."""
        address = {size: self.get_query_string({looks.SIZE: size}, ["p"]) for size in looks.PAGE_SIZES}
        return [(size, url, size == self.list_per_page) for size, url in address.items()]


class PortalAdmin(_ModelAdmin[M]):
    """One noun's pages. Nothing may be added, changed or deleted through the admin's own forms."""

    admin_site: PortalSite
    actions_on_top = False
    list_max_show_all = 0
    show_full_result_count = False
    search_newest, newest_by = 0, ""  # search no more rows than these, by that column; 0 for all
    empty_text: _StrOrPromise = ""
    action_bar = "portal/action_bar.html"
    cards_template = ""  # for lists that can be seen as cards as well

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PortalChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return looks.columns(request, self)

    @property
    def media(self) -> Media:
        return Media()  # the stock scripts would bring jQuery to every list

    def action_checkbox(self, obj: M) -> SafeString:
        """What the stock one renders, without a template for each row."""
        says = _(_SELECT_ROW).format(obj)
        box = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">'
        return format_html(box, helpers.ACTION_CHECKBOX_NAME, obj.pk, says)

    def complete(self, request: HttpRequest, rows: Sequence[M]) -> None:
        """Give the rows of one page what their columns need beyond the query."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        """Where `search_newest` says so, only among the newest rows: no index finds a part of a text."""
        if search_term and self.search_newest:
            column = self.newest_by
            newest = queryset.order_by(f"-{column}", "-pk").values_list(column, flat=True)
            last = newest[self.search_newest : self.search_newest + 1].first()
            if last is not None:
                queryset = queryset.filter(**{f"{column}__gte": last})
                vars(request)[_SEARCHED] = self.search_newest
        return super().get_search_results(request, queryset, search_term)

    def url_of(self, row: M) -> str:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        raise NotImplementedError

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what the filters themselves use: the stock rule lets every field of the row be asked for."""
        names: set[object] = set()
        for spec in self.list_filter:
            names |= {f"{spec}__exact", f"{spec}__isnull", getattr(spec, "parameter_name", None)}
            names |= set(getattr(spec, "names", ()))
        return lookup in names

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> CappedPaginator:
        paginator = CappedPaginator(*args, **kwargs)
        paginator.begins = request.GET.get(PAGE_VAR, "1") == "1"
        return paginator

    def list_page(self, request: HttpRequest, title: str, **extra: Any) -> HttpResponse:
        """The changelist under our own address and title."""
        if looks.chosen(request):
            return looks.keep(request, self)
        cards = looks.as_cards(request, self)
        context = {
            "title": title,
            "column_choices": [] if cards else looks.column_choices(request, self),
            "cards_template": self.cards_template,
            "as_cards": cards,
            "empty_text": self.empty_text,
            "action_bar": self.action_bar,
            **project_context(request),
            **extra,
        }
        return self.changelist_view(request, context)

    def page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Any other page in the portal's frame."""
        frame = self.admin_site.each_context(request)
        return render(request, template, {**frame, **project_context(request), **context})

    def confirmation(self, request: HttpRequest, action: str, rows: QuerySet[M], **texts: Any) -> HttpResponse:
        """Ask before something is lost (or begins: `harmless`); answering posts the action again, with `confirmed`."""
        context = {
            **self.admin_site.each_context(request),
            **project_context(request),
            **texts,
            "action": action,
            "rows": rows,
            "back_url": request.get_full_path(),
        }
        return TemplateResponse(request, "portal/confirmation.html", context)

    def each(
        self,
        request: HttpRequest,
        rows: Iterable[R],
        write: Callable[[R], object],
        done: str,
        explain: Callable[[AppError], str] = str,
    ) -> None:
        """Run a service over the chosen rows one by one, and say for each refusal which row it was and why."""
        count = 0
        for row in rows:
            try:
                write(row)
            except AppError as error:
                self.message_user(request, f"{row}: {explain(error)}", messages.ERROR)
            else:
                count += 1
        if count:
            self.message_user(request, done.format(count=count), messages.SUCCESS)

    def after_a_question(
        self,
        request: HttpRequest,
        action: str,
        rows: QuerySet[M],
        write: Callable[[M], object],
        done: str,
        *,
        explain: Callable[[AppError], str] = str,
        **texts: Any,
    ) -> HttpResponse | None:
        """`each` once the person has confirmed; before that the question, with `texts`.

        Where the action has left no row, having said why, there is nothing to ask.
        """
        if "confirmed" not in request.POST:
            if not rows.exists():
                return None
            return self.confirmation(request, action, rows, **texts)
        self.each(request, rows, write, done, explain)
        return None


class SwitchedAdmin(PortalAdmin[M]):
    """Rows that are on or off: the actions `enable` and `disable`."""

    def switch(self, row: M, *, on: bool, actor: User) -> object:
        raise NotImplementedError

    def switchable(self, request: HttpRequest, rows: QuerySet[M]) -> QuerySet[M]:
        """Those of the chosen rows that this person may switch."""
        return rows

    @admin.action(permissions=["change"], description=gettext_lazy("Enable"))
    def enable(self, request: HttpRequest, rows: QuerySet[M]) -> None:
        self._switch(request, rows, on=True)

    @admin.action(permissions=["change"], description=gettext_lazy("Disable"))
    def disable(self, request: HttpRequest, rows: QuerySet[M]) -> None:
        self._switch(request, rows, on=False)

    def _switch(self, request: HttpRequest, rows: QuerySet[M], *, on: bool) -> None:
        actor = scope.signed_in(request)
        write = partial(self.switch, on=on, actor=actor)
        self.each(request, self.switchable(request, rows), write, _("{count} changed."))


class ProjectPartAdmin(PortalAdmin[M]):
    """Something inside a project: shown only in a tab, asked only for the project of this request."""

    view_action: str

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return scope.current(request).allows(self.view_action)

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return super().get_queryset(request).filter(project=scope.current(request).project)

    def in_project(self, view: Callable[..., HttpResponseBase], action: str | None = None) -> Callable[..., Any]:
        """Wrap a view under `projects/<project>/…`: 404 for who may not know the project, 403 without `action`."""
        return in_project(self.admin_site, view, action or self.view_action)


def in_project(site: PortalSite, view: Callable[..., HttpResponseBase], action: str) -> Callable[..., Any]:
    """The same for pages that belong to the project itself."""

    @wraps(view)
    def inner(request: HttpRequest, project: str, **kwargs: Any) -> HttpResponseBase:
        scope.enter(request, project, action)
        refuse_writes_when_read_only(request)
        return view(request, **kwargs)

    return site.public_view(inner)


def refuse_writes_when_read_only(request: HttpRequest) -> None:
    """What is in the registry stays as it is while an administrator has it so; settings and accounts still change.

    How somebody has their lists belongs to their account: a page that is sent that is opened with nothing but it, as
    by a link.
    """
    if request.method != "POST" or not params.get(params.READ_ONLY):
        return
    chosen = looks.chosen(request)
    if not chosen:
        raise PermissionDenied(_("The registry is read-only: pulls work, pushes and deletions are refused."))
    request.method, request.POST = "GET", QueryDict(chosen.urlencode())


def administrators_only(site: PortalSite, view: Callable[..., HttpResponseBase]) -> Callable[..., Any]:
    """A page of the Administration group: sign-in for nobody, 403 for everyone else."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not scope.visitor(request).is_superuser:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return site.member_view(inner)


def project_context(request: HttpRequest) -> dict[str, Any]:
    """What the header of a project's pages shows; empty elsewhere."""
    here = scope.find(request)
    if here is None:
        return {}
    return {"scope": here, "project": here.project, "tabs": navigation.project_tabs(request, here)}


def form_page(
    site: PortalSite,
    request: HttpRequest,
    form: Any,
    save: Callable[[dict[str, Any]], object],
    *,
    success: str,
    next_url: str,
    template: str = "portal/form.html",
    **context: Any,
) -> HttpResponse:
    """Show a form, or hand what was entered to a service and go on; a refusal is shown above the form.

    What `save` returns is where to go instead of `next_url`, if it is an address. The form can be sent once something
    has changed, and asks before that is lost (forms.js): `ready` lets it be sent as it stands, and `guarded=False` is
    for forms that begin something instead of keeping it.
    """
    if answer := judgement(request, form):
        return answer
    if request.method == "POST" and form.is_valid():
        try:
            made = save(form.cleaned_data)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, success)
            return HttpResponseRedirect(made if isinstance(made, str) else next_url)
    frame = {**site.each_context(request), **project_context(request)}
    context.setdefault("submit_label", _("Save"))
    context.setdefault("guarded", bool(context["submit_label"]))
    context.setdefault("cancel_url", next_url)
    return render(request, template, {**frame, **context, "form": form})
