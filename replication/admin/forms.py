"""The form of a replication rule: what is copied where, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal import crons
from replication.filters import ARTIFACT, EXCLUDES, IMAGE, LABEL, MATCHES, NAME, RESOURCE, TAG
from replication.models import Registry, ReplicationPolicy
from replication.services import policies

PUSH, PULL = "push", "pull"
MODES = ((PUSH, gettext_lazy("Push: from here to another registry")), (PULL, gettext_lazy("Pull: from there to here")))
DECORATIONS = ((MATCHES, gettext_lazy("Matching")), (EXCLUDES, gettext_lazy("Excluding")))
RESOURCES = (("", gettext_lazy("All")), (IMAGE, gettext_lazy("Images")), (ARTIFACT, gettext_lazy("Artifacts")))
ALL_LEVELS = -1
LEVELS = (
    (ALL_LEVELS, gettext_lazy("Flatten all levels")),
    (0, gettext_lazy("Flatten nothing")),
    (1, gettext_lazy("Flatten 1 level")),
    (2, gettext_lazy("Flatten 2 levels")),
    (3, gettext_lazy("Flatten 3 levels")),
)
_SCHEDULED, _EVENT = ReplicationPolicy.Trigger.SCHEDULED, ReplicationPolicy.Trigger.EVENT_BASED


class RuleForm(forms.Form):
    """Everything that a rule says."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=policies.MAX_NAME)
    description = forms.CharField(label=gettext_lazy("Description"), max_length=1024, required=False)
    mode = forms.ChoiceField(
        label=gettext_lazy("Replication mode"), choices=MODES, initial=PUSH, widget=forms.RadioSelect
    )
    registry = forms.TypedChoiceField(label=gettext_lazy("The other registry"), coerce=int)
    name_filter = forms.CharField(
        label=gettext_lazy("Repositories"),
        required=False,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "placeholder": "library/**"}),
        help_text=gettext_lazy("A pattern: * within a part of the name, ** across parts, {a,b} either. Empty is all."),
    )
    tag_decoration = forms.ChoiceField(label=gettext_lazy("Tags"), choices=DECORATIONS)
    tag_filter = forms.CharField(
        label=gettext_lazy("Pattern of the tags"),
        required=False,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "placeholder": "v1.*"}),
        help_text=gettext_lazy("Empty is all."),
    )
    label_decoration = forms.ChoiceField(label=gettext_lazy("Labels"), choices=DECORATIONS)
    label_filter = forms.CharField(
        label=gettext_lazy("Names of the labels"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("One on each line; an artifact must have all of them. Empty is all."),
    )
    resource = forms.ChoiceField(label=gettext_lazy("Resource"), choices=RESOURCES, required=False)
    dest_namespace = forms.CharField(
        label=gettext_lazy("Destination namespace"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("Empty leaves every repository its name."),
    )
    flattening = forms.TypedChoiceField(
        label=gettext_lazy("Flattening"),
        coerce=int,
        choices=LEVELS,
        initial=1,
        help_text=gettext_lazy(
            "How many leading parts of a name the namespace replaces: with 1 level a/b/c becomes namespace/b/c."
        ),
    )
    trigger = forms.ChoiceField(label=gettext_lazy("Trigger"), choices=ReplicationPolicy.Trigger.choices)
    period = crons.period_field()
    cron = crons.cron_field("period=Custom")
    replicate_deletion = forms.BooleanField(
        label=gettext_lazy("Delete remote resources when they are deleted here"), required=False
    )
    speed = forms.IntegerField(
        label=gettext_lazy("Bandwidth"),
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text=gettext_lazy("Kilobytes per second for each task; empty is without limit."),
    )
    override = forms.BooleanField(
        label=gettext_lazy("Override"),
        required=False,
        initial=True,
        help_text=gettext_lazy("Replace a tag at the destination that points to something else."),
    )
    copy_by_chunk = forms.BooleanField(
        label=gettext_lazy("Copy by chunk"),
        required=False,
        help_text=gettext_lazy("Send layers in pieces, where the other registry takes them."),
    )
    single_active_replication = forms.BooleanField(
        label=gettext_lazy("One run at a time"),
        required=False,
        help_text=gettext_lazy("Skip a run while an earlier one of this rule is under way."),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Enabled"), required=False, initial=True)

    parts: Sequence[tuple[Any, Sequence[str]]] = (
        ("", ("name", "description", "mode", "registry")),
        (
            gettext_lazy("What is copied"),
            ("name_filter", "tag_decoration", "tag_filter", "label_decoration", "label_filter", "resource"),
        ),
        (gettext_lazy("Where it goes"), ("dest_namespace", "flattening")),
        (gettext_lazy("When"), ("trigger", "period", "cron", "replicate_deletion")),
        (gettext_lazy("How"), ("speed", "override", "copy_by_chunk", "single_active_replication", "enabled")),
    )

    def __init__(self, *args: Any, policy: ReplicationPolicy | None = None, **kwargs: Any) -> None:
        if policy:
            kwargs["initial"] = _initial(policy)
        super().__init__(*args, **kwargs)
        self._kept = _beyond_the_form(policy.filters) if policy else []
        registries = Registry.objects.order_by("name").values_list("pk", "name")
        self._choose("registry", list(registries))
        if policy and policy.dest_namespace_replace_count not in dict(LEVELS):
            count = policy.dest_namespace_replace_count
            self._choose("flattening", [*LEVELS, (count, str(count))])
        self.fields["period"].widget.attrs["data-when"] = f"trigger={_SCHEDULED}"
        self.fields["replicate_deletion"].widget.attrs["data-when"] = f"trigger={_EVENT}"

    def _choose(self, name: str, choices: list[tuple[int, Any]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def groups(self) -> list[tuple[Any, str, list[forms.BoundField]]]:
        """The fields under their headings."""
        return [(title, "", [self[name] for name in names]) for title, names in self.parts]

    def described(self) -> policies.Description:
        """As the service wants it; what does not apply to the chosen trigger is left out."""
        data = self.cleaned_data
        pushes, trigger = data["mode"] == PUSH, data["trigger"]
        same = ("name", "description", "dest_namespace", "override", "copy_by_chunk", "single_active_replication")
        return policies.Description(
            **{name: data[name] for name in same},
            src_registry=0 if pushes else data["registry"],
            dest_registry=data["registry"] if pushes else 0,
            dest_namespace_replace_count=data["flattening"],
            filters=[*self._filters(), *self._kept],
            trigger=trigger,
            cron=crons.entered(data) if trigger == _SCHEDULED else "",
            replicate_deletion=data["replicate_deletion"] and trigger == _EVENT,
            enabled=data["enabled"],
            speed=data["speed"] or 0,
        )

    def _filters(self) -> list[dict[str, Any]]:
        data = self.cleaned_data
        labels = [line.strip() for line in data["label_filter"].splitlines() if line.strip()]
        found: list[dict[str, Any]] = []
        if data["name_filter"]:
            found.append({"type": NAME, "value": data["name_filter"]})
        if data["tag_filter"]:
            found.append({"type": TAG, "value": data["tag_filter"], "decoration": data["tag_decoration"]})
        if labels:
            found.append({"type": LABEL, "value": labels, "decoration": data["label_decoration"]})
        if data["resource"]:
            found.append({"type": RESOURCE, "value": data["resource"]})
        return found


def _initial(policy: ReplicationPolicy) -> dict[str, Any]:
    same = (
        *("name", "description", "dest_namespace", "trigger", "replicate_deletion", "override", "copy_by_chunk"),
        *("single_active_replication", "enabled"),
    )
    first = {each["type"]: each for each in reversed(policy.filters)}
    return {
        **{name: getattr(policy, name) for name in same},
        "mode": PUSH if policy.is_push else PULL,
        "registry": policy.remote.pk,
        "flattening": policy.dest_namespace_replace_count,
        "speed": policy.speed or None,
        "name_filter": first.get(NAME, {}).get("value", ""),
        "tag_filter": first.get(TAG, {}).get("value", ""),
        "tag_decoration": first.get(TAG, {}).get("decoration", MATCHES),
        "label_filter": "\n".join(first.get(LABEL, {}).get("value", [])),
        "label_decoration": first.get(LABEL, {}).get("decoration", MATCHES),
        "resource": first.get(RESOURCE, {}).get("value", ""),
        **(crons.initial(policy.cron) if policy.cron else {}),
    }


def _beyond_the_form(filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A second filter of one type, which only the REST API makes; the form leaves it as it is."""
    seen: set[str] = set()
    kept = []
    for each in filters:
        if each["type"] in seen:
            kept.append(each)
        seen.add(each["type"])
    return kept


def filter_texts(filters: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the filters say, a sentence each."""
    titles = {NAME: _("Repositories"), TAG: _("Tags"), LABEL: _("Labels"), RESOURCE: _("Resource")}
    found = []
    for each in filters:
        if not each["value"]:
            continue
        value = ", ".join(each["value"]) if each["type"] == LABEL else str(each["value"])
        if each["type"] == RESOURCE:
            value = str(dict(RESOURCES).get(value, value))
        excluding = f" ({_('Excluding')})" if each.get("decoration") == EXCLUDES else ""
        found.append(f"{titles[each['type']]}{excluding}: {value}")
    return found
