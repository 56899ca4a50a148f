"""Administration: the settings of the running system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.events import EVENT_TYPES, event_label
from harborsite import config
from harborsite.portal import banners, scope
from harborsite.portal.pages import PortalAdmin, administrators_only, form_page
from projects import params
from projects.admin import allowlists, authentication
from projects.models import Setting
from projects.services import settings

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

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
    params.NOTIFICATION_ENABLE,
    params.AUDIT_LOG_FORWARD_ENDPOINT,
    params.SKIP_AUDIT_LOG_DATABASE,
)
_BANNER = ("message", "level", "closable", "first", "last")


def _day(label: _StrOrPromise, help_text: _StrOrPromise) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=help_text,
    )


class SettingsForm(forms.Form):
    """A field for each of SHOWN, under its key, the audit log's events and the parts of the banner."""

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
    notification_enable = forms.BooleanField(
        label=gettext_lazy("Webhooks are on"),
        required=False,
        help_text=gettext_lazy("Off: nothing is told to any webhook of any project."),
    )
    recorded = forms.MultipleChoiceField(
        label=gettext_lazy("Events that are recorded"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("All other events, such as those of labels, quotas and jobs, are always recorded."),
    )
    audit_log_forward_endpoint = forms.CharField(
        label=gettext_lazy("Forward records to"),
        max_length=300,
        required=False,
        widget=forms.TextInput({"class": "mono", "spellcheck": "false", "placeholder": "logs.example.com:514"}),
    )
    skip_audit_log_database = forms.BooleanField(
        label=gettext_lazy("Keep no records here"),
        required=False,
        help_text=gettext_lazy("Only where they are forwarded: the page Logs then shows nothing new."),
    )
    message = forms.CharField(
        label=gettext_lazy("Banner on every page"), max_length=2000, required=False, widget=forms.Textarea({"rows": 2})
    )
    level = forms.ChoiceField(label=gettext_lazy("Kind of banner"), choices=banners.LEVELS, required=False)
    closable = forms.BooleanField(label=gettext_lazy("Readers may close it"), required=False)
    first = _day(gettext_lazy("First day"), gettext_lazy("Days are those of UTC. Empty: from now on."))
    last = _day(gettext_lazy("Last day"), gettext_lazy("Empty: until it is taken away."))

    parts: Sequence[tuple[_StrOrPromise, Sequence[str]]] = (
        (
            gettext_lazy("Registry"),
            ("read_only", "quota_per_project_enable", "retention_delete_limit", "notification_enable"),
        ),
        (
            gettext_lazy("People and projects"),
            ("project_creation_restriction", "self_registration", "session_timeout", "token_expiration"),
        ),
        (gettext_lazy("Robot accounts"), ("robot_name_prefix", "robot_token_duration")),
        (gettext_lazy("Audit log"), ("recorded", "audit_log_forward_endpoint", "skip_audit_log_database")),
        (gettext_lazy("Banner"), _BANNER),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        recorded = self.fields["recorded"]
        if isinstance(recorded, forms.MultipleChoiceField):
            recorded.choices = [(event, event_label(event)) for event in EVENT_TYPES]
        configured = config.current().syslog_url
        self.fields["audit_log_forward_endpoint"].help_text = (
            _("Host and port of a syslog collector, by TCP. Empty: {url}, from harbor.cfg.").format(url=configured)
            if configured
            else _("Host and port of a syslog collector, by TCP. Empty: nowhere.")
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("first") and data.get("last") and data["last"] < data["first"]:
            self.add_error("last", _("It is before the first day."))
        return data

    def groups(self) -> list[tuple[_StrOrPromise, str, list[forms.BoundField]]]:
        """The fields under their headings."""
        return [(title, "", [self[name] for name in names]) for title, names in self.parts]

    def settings(self) -> dict[str, Any]:
        """What was entered, as the service wants it."""
        data = self.cleaned_data
        return {
            **{param.key: data[param.key] for param in SHOWN},
            params.DISABLED_AUDIT_LOG_EVENT_TYPES.key: _disabled(data["recorded"]),
            params.BANNER_MESSAGE.key: banners.packed(**{name: data[name] for name in _BANNER}),
        }


def _initial() -> dict[str, Any]:
    off = settings.audit_switches().disabled
    return {
        **{param.key: params.get(param) for param in SHOWN},
        "recorded": [event for event in EVENT_TYPES if event not in off],
        **banners.unpacked(params.get(params.BANNER_MESSAGE)),
    }


def _disabled(recorded: Sequence[str]) -> str:
    """What is not to be recorded, as it is kept; what this page does not offer stays off."""
    beyond = sorted(settings.audit_switches().disabled - set(EVENT_TYPES))
    return ",".join([*(event for event in EVENT_TYPES if event not in recorded), *beyond])


@admin.register(Setting)
class SettingAdmin(PortalAdmin[Setting]):
    """One page for what is set while the server runs."""

    def get_urls(self) -> list[URLPattern]:
        own = path("settings/", administrators_only(self.admin_site, self.system), name="settings")
        return [own, *allowlists.urls(self.admin_site), *authentication.urls(self.admin_site)]

    def system(self, request: HttpRequest) -> HttpResponse:
        user, initial = scope.signed_in(request), _initial()
        form = SettingsForm(scope.posted(request), initial=initial)

        def save(data: dict[str, Any]) -> None:
            changed = {name for name in form.fields if data[name] != initial[name]}
            kept = {key: value for key, value in form.settings().items() if changed & _fields_of(key)}
            settings.change_settings(values=kept, actor=user)

        return form_page(
            self.admin_site,
            request,
            form,
            save,
            title=_("System settings"),
            template="projects/settings.html",
            certificate=config.current().ca_file.is_file(),
            page_tabs=allowlists.settings_tabs(request),
            success=_("The settings have been saved."),
            next_url=reverse("admin:settings"),
            cancel_url=None,
        )


def _fields_of(key: str) -> set[str]:
    """The fields whose values make up a setting."""
    if key == params.BANNER_MESSAGE.key:
        return set(_BANNER)
    return {"recorded"} if key == params.DISABLED_AUDIT_LOG_EVENT_TYPES.key else {key}
