"""What an artifact holds beside its layers, made ready for a page: build history, chart files, dependencies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from harborsite.errors import AppError
from registry.models import Artifact
from registry.services import additions

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_TITLES: dict[str, _StrOrPromise] = {
    "build_history": _("Build history"),
    "values.yaml": _("Values"),
    "readme.md": _("Readme"),
    "dependencies": _("Dependencies"),
    "sbom": _("SBOM"),
}
_MOST_ROWS = 500
_MOST_TEXT = 200_000


@dataclass(frozen=True, slots=True)
class Part:
    """One section: a table with its head, or text, which is shown as it is unless it is Markdown."""

    title: _StrOrPromise
    head: tuple[_StrOrPromise, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    text: str = ""
    is_markdown: bool = False


def of(artifact: Artifact) -> list[Part]:
    """The parts that are there and can be read; a page does without the others."""
    found = []
    for name in additions.names(artifact):
        try:
            part = _part(name, additions.read(artifact, name))
        except AppError:
            continue
        if part.rows or part.text:
            found.append(part)
    return found


def _part(name: str, content: bytes) -> Part:
    title = _TITLES[name]
    if name == "build_history":
        steps = [(_text(step, "created"), _text(step, "created_by")) for step in _objects(content)]
        return Part(title, (_("Created"), _("Command")), list(steps))
    if name == "dependencies":
        keys = ("name", "version", "repository")
        rows = [tuple(_text(entry, key) for key in keys) for entry in _objects(content)]
        return Part(title, (_("Name"), _("Version"), _("Repository")), rows)
    return Part(title, text=content[:_MOST_TEXT].decode(errors="replace"), is_markdown=name.endswith(".md"))


def _objects(content: bytes) -> list[dict[str, Any]]:
    listed = json.loads(content)
    entries = listed if isinstance(listed, list) else []
    return [entry for entry in entries[:_MOST_ROWS] if isinstance(entry, dict)]


def _text(entry: dict[str, Any], key: str) -> str:
    return str(entry.get(key) or "")
