"""What is said in a shell, in the language of its locale: also before Django is set up or anything was prepared."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache

from harborsite import catalogue

CHINESE = "zh-hans"


def language(environ: Mapping[str, str] = os.environ) -> str:
    """Of the two languages that we speak, the one that the locale of the caller's shell asks for."""
    named = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return CHINESE if next(filter(None, named), "").startswith("zh") else "en"


def gettext(message: str) -> str:
    """`message` in the language in force, placeholders and all; it does not take compiled catalogues."""
    return _messages().get(message, message) if _in_force() == CHINESE else message


def gettext_noop(message: str) -> str:
    """Marks a message for the catalogue that is translated where it is said."""
    return message


def _in_force() -> str:
    """Django's language of the moment, once it is set up: some of these checks are made for a request, too."""
    conf = sys.modules.get("django.conf")
    if conf and conf.settings.configured:
        from django.utils.translation import get_language

        return get_language() or "en"
    return language()


@cache
def _messages() -> Mapping[str, str]:
    return catalogue.messages("zh_Hans")
