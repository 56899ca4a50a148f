"""Both languages are complete, and what is compiled is what is written."""

from __future__ import annotations

import gettext
import io
import re
import shutil
import subprocess
from pathlib import Path

from django.core.management import call_command
from django.test import override_settings

from harborsite.config import BASE_DIR

FOLDER = BASE_DIR / "harborsite" / "locale"
CATALOGUE = FOLDER / "zh_Hans" / "LC_MESSAGES" / "django.po"


def entries(text: str) -> str:
    """The catalogue without the date of its header."""
    return re.sub(r'^"POT-Creation-Date:.*\n', "", text, flags=re.MULTILINE)


def test_the_catalogue_holds_every_string_of_the_code(tmp_path: Path) -> None:
    """To mend: `manage.py makemessages -l zh_Hans` with the options below, then translate and `compilemessages`."""
    copied = tmp_path / "locale"
    shutil.copytree(FOLDER, copied)
    with override_settings(LOCALE_PATHS=[copied]):
        call_command(
            "makemessages",
            locale=["zh_Hans"],
            add_location="never",
            no_wrap=True,
            no_obsolete=True,
            ignore_patterns=["tests", "bench", "locale", ".venv*", "data"],
            verbosity=0,
        )
    fresh = (copied / "zh_Hans" / "LC_MESSAGES" / "django.po").read_text()
    assert entries(fresh) == entries(CATALOGUE.read_text())


def test_nothing_is_untranslated_or_fuzzy() -> None:
    for flag in ("--untranslated", "--only-fuzzy"):
        found = subprocess.run(["msgattrib", flag, CATALOGUE], capture_output=True, text=True, check=True)
        assert found.stdout == "", flag


def test_the_compiled_catalogue_is_up_to_date(tmp_path: Path) -> None:
    """It is kept in the repository, so that a machine without gettext speaks Chinese as well."""
    fresh = tmp_path / "django.mo"
    subprocess.run(["msgfmt", "--check-format", "-o", fresh, CATALOGUE], check=True)
    compiled = gettext.GNUTranslations(io.BytesIO(CATALOGUE.with_suffix(".mo").read_bytes()))
    assert vars(compiled)["_catalog"] == vars(gettext.GNUTranslations(io.BytesIO(fresh.read_bytes())))["_catalog"]
