"""Administration: the settings of the running system."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import banners, scope
from harborsite.portal.pages import PortalAdmin, administrators_only, form_page
from projects import params
from projects.admin import allowlists, authentication
from projects.models import Setting
from projects.services import settings

SHOWN: tuple[params.Param[Any], ...] = (
    params.PROJECT_CREATION_RESTRICTION,
    params.SELF_REGISTRATION,
    params.READ_ONLY,
    params.TOKEN_EXPIRATION,
    params.SESSION_TIMEOUT,
    params.ROBOT_NAME_PREFIX,
    params.ROBOT_TOKEN_DURATION,
    params.QUOTA_PER_PROJECT_ENABLE,
    params.RETENTION_DELETE_LIMIT,
    params.BANNER_MESSAGE,
)


class SettingsForm(forms.Form):
    """One field for each of SHOWN, under its key."""

    project_creation_restriction = forms.ChoiceField(
        label=gettext_lazy("Who may create projects"),
        choices=[("everyone", gettext_lazy("Everyone")), ("adminonly", gettext_lazy("Administrators only"))],
    )
    self_registration = forms.BooleanField(label=gettext_lazy("Visitors may sign up by themselves"), required=False)
    read_only = forms.BooleanField(
        label=gettext_lazy("Read-only"),
        required=False,
        help_text=gettext_lazy("Pulls work, pushes and deletions are refused."),
    )
    token_expiration = forms.IntegerField(
        label=gettext_lazy("Lifetime of a registry token, in minutes"), min_value=1, max_value=9_999_999
    )
    session_timeout = forms.IntegerField(
        label=gettext_lazy("Minutes of idleness after which a session ends"), min_value=1, max_value=9_999_999
    )
    robot_name_prefix = forms.CharField(
        label=gettext_lazy("Prefix of robot accounts"),
        max_length=64,
        help_text=gettext_lazy("With one of $ # % ~ in it. Robot accounts sign in under the new name at once."),
    )
    robot_token_duration = forms.IntegerField(
        label=gettext_lazy("Days until a new robot account expires, unless chosen otherwise"),
        min_value=1,
        max_value=9_999_999,
    )
    quota_per_project_enable = forms.BooleanField(label=gettext_lazy("Enforce project quotas"), required=False)
    retention_delete_limit = forms.IntegerField(
        label=gettext_lazy("Share of artifacts that one run of tag retention may delete, in percent"),
        min_value=1,
        max_value=100,
        help_text=gettext_lazy("A run that would delete more stops before it deletes anything. 100 is no limit."),
    )
    banner_message = forms.CharField(
        label=gettext_lazy("Banner on every page"), max_length=2000, required=False, widget=forms.Textarea({"rows": 2})
    )


@admin.register(Setting)
class SettingAdmin(PortalAdmin[Setting]):
    """One page for what is set while the server runs."""

    def get_urls(self) -> list[URLPattern]:
        own = path("settings/", administrators_only(self.admin_site, self.system), name="settings")
        return [own, *allowlists.urls(self.admin_site), *authentication.urls(self.admin_site)]

    def system(self, request: HttpRequest) -> HttpResponse:
        user = scope.signed_in(request)
        initial = {param.key: params.get(param) for param in SHOWN}
        initial[params.BANNER_MESSAGE.key] = banners.text(params.get(params.BANNER_MESSAGE))

        def save(data: dict[str, Any]) -> None:
            values = {**data, params.BANNER_MESSAGE.key: banners.packed(data[params.BANNER_MESSAGE.key])}
            changed = {param.key: values[param.key] for param in SHOWN if values[param.key] != params.get(param)}
            settings.change_settings(values=changed, actor=user)

        return form_page(
            self.admin_site,
            request,
            SettingsForm(scope.posted(request), initial=initial),
            save,
            title=_("System settings"),
            page_tabs=allowlists.settings_tabs(request),
            success=_("The settings have been saved."),
            next_url=reverse("admin:settings"),
            cancel_url=None,
        )
