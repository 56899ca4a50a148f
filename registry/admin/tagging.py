"""The tags of an artifact on its page: found by name, with the line that pulls each."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from harborsite.portal.preferences import pull_client
from registry import clientlines
from registry.models import Artifact
from registry.oci import grammar
from registry.policies import immutability

SEARCHED_FROM = 10  # fewer are found by looking


class TagForm(forms.Form):
    """One more name for an artifact."""

    name = forms.RegexField(
        rf"\A{grammar.TAG}\Z",
        label=gettext_lazy("New tag"),
        max_length=128,
        error_messages={
            "invalid": gettext_lazy("A tag is made of letters, digits and . _ -, and does not start with . or -.")
        },
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def on_page(request: HttpRequest, artifact: Artifact) -> dict[str, Any]:
    """All tags, or those whose name holds what was searched; each with whether a rule keeps it."""
    every, word = list(artifact.tags.all()), request.GET.get("tag", "").strip()
    rules, repository = immutability.Rules(artifact.repository.project_id), artifact.repository.name
    client = pull_client(request)
    version = every[0].name if every else artifact.digest
    return {
        "tags": [
            (
                tag,
                rules.cover(repository, tag.name),
                clientlines.pull(repository, tag.name, artifact.type, first=client)[0][1],
            )
            for tag in every
            if word.lower() in tag.name.lower()
        ],
        "tag_count": len(every),
        "tag_word": word,
        "may_search_tags": len(every) >= SEARCHED_FROM,
        "pull_lines": clientlines.pull(repository, version, artifact.type, first=client),
    }
