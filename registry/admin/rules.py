"""Rules of a project about its tags, as people enter and read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from harborsite.portal.runs import state_badge
from registry.policies import retention
from registry.policies.judgement import selects

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_REPOSITORIES = (("repoMatches", gettext_lazy("matching")), ("repoExcludes", gettext_lazy("excluding")))
_TAGS = (("matches", gettext_lazy("matching")), ("excludes", gettext_lazy("excluding")))
_OFFERED = ("always", "latestPushedK", "latestPulledN", "nDaysSinceLastPush", "nDaysSinceLastPull")
_TEMPLATES: Mapping[str, _StrPromise] = {
    "always": gettext_lazy("all artifacts"),
    "latestPushedK": gettext_lazy("the most recently pushed # artifacts"),
    "latestPulledN": gettext_lazy("the most recently pulled # artifacts"),
    "latestActiveK": gettext_lazy("the # artifacts pushed or pulled last"),
    "nDaysSinceLastPush": gettext_lazy("the artifacts pushed within the last # days"),
    "lastXDays": gettext_lazy("the artifacts pushed within the last # days"),
    "nDaysSinceLastPull": gettext_lazy("the artifacts pulled within the last # days"),
}
_PATTERN_HELP = gettext_lazy("* within a part of the name, ** across parts, {a,b} either. Empty is all.")


def _pattern(label: _StrPromise) -> forms.CharField:
    attrs = {"class": "mono", "spellcheck": "false"}
    return forms.CharField(
        label=label,
        max_length=1024,
        required=False,
        initial="**",
        help_text=_PATTERN_HELP,
        widget=forms.TextInput(attrs=attrs),
    )


class SelectorForm(forms.Form):
    """Which repositories and which of their tags a rule is for."""

    repository_decoration = forms.ChoiceField(label=gettext_lazy("Repositories"), choices=_REPOSITORIES)
    repository_pattern = _pattern(gettext_lazy("Pattern of the repositories, without the project"))
    tag_decoration = forms.ChoiceField(label=gettext_lazy("Tags"), choices=_TAGS)
    tag_pattern = _pattern(gettext_lazy("Pattern of the tags"))

    def selectors(self) -> tuple[list[dict[str, str]], dict[str, list[dict[str, str]]]]:
        """Of the tags and of the repositories, as a rule keeps them."""
        data = self.cleaned_data
        tags = _selector(data["tag_decoration"], data["tag_pattern"])
        return [tags], {"repository": [_selector(data["repository_decoration"], data["repository_pattern"])]}


def _selector(decoration: str, pattern: str) -> dict[str, str]:
    return {"kind": "doublestar", "decoration": decoration, "pattern": pattern or "**"}


class RetentionRuleForm(SelectorForm):
    """What is kept of them."""

    field_order = ("repository_decoration", "repository_pattern", "template", "number", "tag_decoration", "tag_pattern")

    template = forms.ChoiceField(label=gettext_lazy("Keep"))
    number = forms.IntegerField(
        label=gettext_lazy("# is"),
        min_value=1,
        max_value=32766,
        required=False,
        initial=10,
        help_text=gettext_lazy("How many artifacts, or days."),
    )
    untagged = forms.BooleanField(
        label=gettext_lazy("The rule is for untagged artifacts, too"), required=False, initial=True
    )

    def __init__(self, *args: Any, rule: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if rule:
            kwargs["initial"] = _initial(rule)
        super().__init__(*args, **kwargs)
        offered = dict.fromkeys((*_OFFERED, *([rule["template"]] if rule else [])))
        template = self.fields["template"]
        if isinstance(template, forms.ChoiceField):
            template.choices = [(name, _TEMPLATES.get(name, name)) for name in offered]
        self._disabled = bool(rule and rule.get("disabled"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("template") not in {"always", None} and not data.get("number"):
            self.add_error("number", _("Say how many."))
        return data

    def rule(self) -> dict[str, Any]:
        """As the policy keeps it."""
        data = self.cleaned_data
        tags, repositories = self.selectors()
        # Harbor reads the flag the other way round where the selector excludes.
        untagged = data["untagged"] if data["tag_decoration"] == "matches" else not data["untagged"]
        tags[0]["extras"] = json.dumps({"untagged": untagged})
        return {
            "disabled": self._disabled,
            "template": data["template"],
            "params": {} if data["template"] == "always" else {data["template"]: data["number"]},
            "tag_selectors": tags,
            "scope_selectors": repositories,
        }


def _initial(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **selector_initial(rule["tag_selectors"], rule["scope_selectors"]),
        "template": rule["template"],
        "number": rule.get("params", {}).get(rule["template"]) or 10,
        "untagged": selects_untagged(rule),
    }


def selector_initial(tags: Any, repositories: Mapping[str, Any]) -> dict[str, str]:
    """What the form shows for selectors that are kept; the first ones count."""
    repository, tag = repositories["repository"][0], tags[0]
    return {
        "repository_decoration": repository["decoration"],
        "repository_pattern": repository["pattern"],
        "tag_decoration": tag["decoration"],
        "tag_pattern": tag["pattern"],
    }


def selects_untagged(rule: Mapping[str, Any]) -> bool:
    """Whether the rule is for artifacts without a tag."""
    return selects(rule["tag_selectors"][0], ())


def retention_sentence(rule: Mapping[str, Any]) -> str:
    """`In repositories matching **, keep the most recently pushed 10 artifacts with tags matching **.`"""
    template = rule["template"]
    default, _limit = retention.TEMPLATES.get(template, (0, 0))
    number = str(rule.get("params", {}).get(template, default))
    kept = str(_TEMPLATES.get(template, template)).replace("#", number)
    also = _("with untagged ones") if selects_untagged(rule) else _("without untagged ones")
    return format_html(
        _("In repositories {repositories}, keep {kept} with tags {tags}, {untagged}."),
        repositories=_selection(rule["scope_selectors"]["repository"][0], _REPOSITORIES),
        kept=kept,
        tags=_selection(rule["tag_selectors"][0], _TAGS),
        untagged=also,
    )


def immutable_sentence(tags: Any, repositories: Mapping[str, Any]) -> str:
    """`In repositories matching **, tags matching v* are immutable.`"""
    return format_html(
        _("In repositories {repositories}, tags {tags} are immutable."),
        repositories=_selection(repositories["repository"][0], _REPOSITORIES),
        tags=_selection(tags[0], _TAGS),
    )


def _selection(selector: Mapping[str, str], words: Any) -> str:
    return format_html(
        '{} <code class="pattern">{}</code>', dict(words)[selector["decoration"]], selector["pattern"] or "**"
    )


def rule_rows(rules: Any) -> list[dict[str, Any]]:
    """Of a retention policy, for a table."""
    return [
        {
            "number": number,
            "name": retention.fingerprint(rule),
            "sentence": retention_sentence(rule),
            "disabled": bool(rule.get("disabled")),
            "state": state_badge(not rule.get("disabled")),
        }
        for number, rule in enumerate(rules, 1)
    ]
