"""Both languages are complete."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from django.core.management import call_command
from django.test import override_settings

from harborsite.config import BASE_DIR

FOLDER = BASE_DIR / "harborsite" / "locale"
CATALOGUE = FOLDER / "zh_Hans" / "LC_MESSAGES" / "django.po"


def entries(catalogue: Path) -> str:
    """The catalogue without its date, in one order and layout, however it was written."""
    plain = ["msgattrib", "--no-obsolete", "--no-location", "--no-wrap", "--sort-output", str(catalogue)]
    text = subprocess.run(plain, capture_output=True, text=True, check=True).stdout
    return re.sub(r'^"POT-Creation-Date:.*\n', "", text, flags=re.MULTILINE)


def test_the_catalogue_holds_every_string_of_the_code(tmp_path: Path) -> None:
    """To mend: `manage.py makemessages -l zh_Hans` with the options below, then translate."""
    copied = tmp_path / "locale"
    shutil.copytree(FOLDER, copied)
    with override_settings(LOCALE_PATHS=[copied]):
        call_command(
            "makemessages",
            locale=["zh_Hans"],
            add_location="never",
            no_wrap=True,
            no_obsolete=True,
            ignore_patterns=["tests", "bench", "locale", ".venv*", ".tools", "data"],
            verbosity=0,
        )
    assert entries(copied / CATALOGUE.relative_to(FOLDER)) == entries(CATALOGUE)


def test_nothing_is_untranslated_or_fuzzy() -> None:
    for flag in ("--untranslated", "--only-fuzzy"):
        found = subprocess.run(["msgattrib", flag, CATALOGUE], capture_output=True, text=True, check=True)
        assert found.stdout == "", flag


def test_gettext_takes_every_placeholder() -> None:
    subprocess.run(["msgfmt", "--check", "--output-file=/dev/null", CATALOGUE], check=True)
