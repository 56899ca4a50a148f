"""The table of keys in docs/configuration*.md, made from the keys themselves so that it cannot be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field
from pathlib import Path
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from harborsite.config import BASE_DIR, KEYS
from harborsite.configvalues import Database

PAGES = {"en": BASE_DIR / "docs" / "configuration.md", "zh-hans": BASE_DIR / "docs" / "configuration.zh-CN.md"}
_TABLE = re.compile(r"(?<=<!-- keys -->\n).*(?=<!-- /keys -->)", re.DOTALL)


def page(language: str) -> str:
    """What the page in `language` has to say."""
    with translation.override(language):
        table = "\n".join(_rows()) + "\n"
    return _TABLE.sub(lambda _found: table, PAGES[language].read_text(encoding="utf-8"))


def out_of_date() -> list[Path]:
    return [file for language, file in PAGES.items() if file.read_text(encoding="utf-8") != page(language)]


def _rows() -> Iterator[str]:
    key, default, meaning = _("Key of harbor.cfg"), _("Default value"), _("Meaning")
    yield f"| {key} | {default} | {meaning} |"
    yield "|---|---|---|"
    for name, spec in KEYS.items():
        yield f"| `{name}` | {_default(spec)} | {_(spec.metadata['help'])} |"


def _default(spec: Field[Any]) -> str:
    value = spec.default
    if isinstance(value, bool):
        value = "on" if value else "off"
    elif isinstance(value, Database):
        value = value.engine
    elif isinstance(value, tuple):
        value = " ".join(str(part) for part in value)
    elif isinstance(value, Path):
        value = f"./{value}"
    return "" if value in ("", None) else f"`{value}`"
