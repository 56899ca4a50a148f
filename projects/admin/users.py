"""Administration: people's accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import scope
from harborsite.portal.forms import PasswordForm, check_while_typing
from harborsite.portal.pages import SwitchedAdmin, administrators_only, form_page
from harborsite.portal.templatetags.portal import moment
from projects.identity import second_factor
from projects.models import User
from projects.services import accounts


class UserForm(PasswordForm):
    """A new account."""

    field_order = ["username", "email", "realname", "comment"]

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=255)
    realname = forms.CharField(label=gettext_lazy("Full name"), max_length=255, required=False)
    comment = forms.CharField(label=gettext_lazy("Comment"), max_length=30, required=False)
    sysadmin_flag = forms.BooleanField(label=gettext_lazy("Administrator"), required=False)


@admin.register(User)
class UserAdmin(SwitchedAdmin[User]):
    """Administration: people's accounts."""

    list_display = ("username", "administrator", "source", "state", "email", "realname", "registered")
    list_filter = ("sysadmin_flag", "is_active")
    search_fields = ("username", "email", "realname")
    ordering = ("username",)
    actions = ("grant", "revoke", "enable", "disable", "drop_second_factor", "delete_chosen")
    empty_text = gettext_lazy("No user to show.")

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("users/", administrators_only(site, self.users), name="users"),
            path("users/new/", administrators_only(site, self.new_user), name="new_user"),
            path("users/<int:user_id>/password/", administrators_only(site, self.password), name="user_password"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return scope.visitor(request).is_superuser

    has_change_permission = has_delete_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return User.objects.living()

    def url_of(self, row: User) -> str:
        return reverse("admin:user_password", args=[row.pk])

    @admin.display(description=gettext_lazy("Administrator"), ordering="sysadmin_flag")
    def administrator(self, row: User) -> str:
        if row.admin_role_in_auth and not row.sysadmin_flag:
            return _("By the directory")
        return _("Yes") if row.sysadmin_flag else _("No")

    @admin.display(description=gettext_lazy("State"), ordering="is_active")
    def state(self, row: User) -> str:
        return _("Active") if row.is_active else format_html('<span class="badge off">{}</span>', _("Disabled"))

    @admin.display(description=gettext_lazy("Registered"), ordering="creation_time")
    def registered(self, row: User) -> str:
        return moment(row.creation_time)

    def users(self, request: HttpRequest) -> HttpResponse:
        return self.list_page(
            request,
            _("Users"),
            add_url=reverse("admin:new_user"),
            add_label=_("New user"),
            action_buttons=[
                ("grant", _("Make administrator")),
                ("revoke", _("Revoke administrator")),
                ("enable", _("Enable")),
                ("disable", _("Disable")),
                ("drop_second_factor", _("Switch second factor off")),
                ("delete_chosen", _("Delete")),
            ],
        )

    def new_user(self, request: HttpRequest) -> HttpResponse:
        actor = scope.signed_in(request)
        form = UserForm(scope.posted(request))
        check_while_typing(form, username=accounts.check_new_username, email=accounts.check_email)

        def save(data: Mapping[str, Any]) -> None:
            accounts.create_user(
                username=data["username"],
                email=data["email"],
                password=data["new_password"],
                actor=actor,
                realname=data["realname"],
                comment=data["comment"],
                sysadmin_flag=data["sysadmin_flag"],
            )

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("New user"),
            submit_label=_("Create user"),
            success=_("The user has been created."),
            next_url=reverse("admin:users"),
        )

    def password(self, request: HttpRequest, user_id: int) -> HttpResponse:
        actor = scope.signed_in(request)
        user = get_object_or_404(User.objects.living(), pk=user_id)
        if user.pk == actor.pk:
            return HttpResponseRedirect(reverse("admin:password_change"))
        return form_page(
            self.admin_site,
            request,
            PasswordForm(scope.posted(request)),
            lambda data: accounts.set_password(user=user, password=data["new_password"], actor=actor),
            title=_("Set the password of {name}").format(name=user.username),
            submit_label=_("Set password"),
            success=_("The password of {name} has been set.").format(name=user.username),
            next_url=reverse("admin:users"),
        )

    def _others(self, request: HttpRequest, rows: QuerySet[User]) -> QuerySet[User]:
        """Nobody changes their own rights: a slip would lock them out."""
        own = scope.signed_in(request)
        if rows.filter(pk=own.pk).exists():
            self.message_user(request, _("Your own account has been left as it is."), messages.WARNING)
        return rows.exclude(pk=own.pk)

    @admin.action(permissions=["change"], description=gettext_lazy("Make administrator"))
    def grant(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_sysadmin(request, rows, True)

    @admin.action(permissions=["change"], description=gettext_lazy("Revoke administrator"))
    def revoke(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_sysadmin(request, rows, False)

    def _set_sysadmin(self, request: HttpRequest, rows: QuerySet[User], flag: bool) -> None:
        actor = scope.signed_in(request)
        self.each(
            request,
            self._others(request, rows),
            lambda user: accounts.set_sysadmin(user=user, flag=flag, actor=actor),
            _("{count} changed."),
        )

    def switchable(self, request: HttpRequest, rows: QuerySet[User]) -> QuerySet[User]:
        return self._others(request, rows)

    def switch(self, row: User, *, on: bool, actor: User) -> object:
        return accounts.set_active(user=row, active=on, actor=actor)

    @admin.action(permissions=["change"], description=gettext_lazy("Switch second factor off"))
    def drop_second_factor(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        """For who has lost phone and recovery codes; one's own is switched off by a code."""
        actor = scope.signed_in(request)
        self.each(
            request,
            self._others(request, rows).filter(second_factor__isnull=False),
            lambda user: second_factor.switch_off(user=user, actor=actor),
            _("{count} changed."),
        )

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete"))
    def delete_chosen(self, request: HttpRequest, rows: QuerySet[User]) -> HttpResponse | None:
        others = self._others(request, rows)
        actor = scope.signed_in(request)
        return self.after_a_question(
            request,
            "delete_chosen",
            others,
            lambda user: accounts.delete_user(user=user, actor=actor),
            _("{count} deleted."),
            title=_("Delete users?"),
            warning=_("They can no longer sign in. What they did stays in the audit log."),
            submit_label=_("Delete"),
        )
