"""Both languages are there, compiled as gettext would."""

from __future__ import annotations

import gettext
import io
import subprocess
from pathlib import Path

from django.utils import translation

from harborsite import catalogue

AWKWARD = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

# a comment
#: somewhere.py:1
msgid "plain \"quoted\" \\ and\ttab"
msgstr "简 \"单\" \\ 和\t制表"

msgctxt "verb"
msgid "Push"
msgstr "推送"

msgid "one"
msgid_plural "%(n)s many"
msgstr[0] "一"
msgstr[1] "%(n)s 个"

#, fuzzy, python-format
msgid "doubtful"
msgstr "疑"

msgid "not yet"
msgstr ""

msgid ""
"long "
"line\n"
msgstr "长"
"行\n"

#~ msgid "gone"
#~ msgstr "去"
"""


def test_a_catalogue_is_compiled_as_msgfmt_does(tmp_path: Path) -> None:
    source, theirs, ours = tmp_path / "a.po", tmp_path / "theirs.mo", tmp_path / "ours.mo"
    for text in [AWKWARD, *(file.read_text() for file in catalogue.SOURCES.glob("*/LC_MESSAGES/*.po"))]:
        source.write_text(text)
        subprocess.run(["msgfmt", f"--output-file={theirs}", source], check=True)
        ours.write_bytes(catalogue.compiled(text))
        read = [gettext.GNUTranslations(io.BytesIO(file.read_bytes())) for file in (theirs, ours)]
        assert messages(read[1]) == messages(read[0])
        assert read[1].info()["plural-forms"] == read[0].info()["plural-forms"]


def messages(translations: gettext.GNUTranslations) -> dict[object, str]:
    """All but the header, from which msgfmt drops the dates."""
    return {key: text for key, text in vars(translations)["_catalog"].items() if key}


def test_chinese_is_in_force() -> None:
    with translation.override("zh-hans"):
        assert translation.gettext("Project Admin") != "Project Admin"
