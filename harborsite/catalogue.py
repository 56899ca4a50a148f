"""Reading and compiling the translations: gettext's `msgfmt` in a few lines, because a fresh machine does not have it.

No Django here: what a shell is told, and the tests, need it before Django is set up.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Iterator
from pathlib import Path

from harborsite.files import write_whole

SOURCES = Path(__file__).resolve().parent / "locale"
_MAGIC, _HEADER_SIZE, _ENTRY_SIZE = 0x950412DE, 28, 8


def compile_all(target: Path) -> list[str]:
    """Compile each catalogue of the code to the same place below `target`; returns their languages."""
    made = []
    for source in sorted(SOURCES.glob("*/LC_MESSAGES/*.po")):
        place = target / source.relative_to(SOURCES).with_suffix(".mo")
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, compiled(source.read_text(encoding="utf-8")))
        made.append(source.parent.parent.name)
    return made


def messages(locale: str) -> dict[str, str]:
    """Every message of a catalogue with its translation."""
    return dict(_messages((SOURCES / locale / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8")))


def compiled(text: str) -> bytes:
    """The binary form of a catalogue, as the GNU gettext manual describes it; fuzzy entries are left out."""
    pairs = sorted((key.encode(), translation.encode()) for key, translation in _messages(text))
    count = len(pairs)
    texts_at = _HEADER_SIZE + 2 * count * _ENTRY_SIZE
    tables, texts = b"", b""
    for column in (0, 1):
        for pair in pairs:
            tables += struct.pack("<II", len(pair[column]), texts_at + len(texts))
            texts += pair[column] + b"\0"
    translations_at = _HEADER_SIZE + count * _ENTRY_SIZE
    header = struct.pack("<7I", _MAGIC, 0, count, _HEADER_SIZE, translations_at, 0, _HEADER_SIZE)
    return header + tables + texts


def _messages(text: str) -> Iterator[tuple[str, str]]:
    """Keys (context and plural joined to the text as gettext does) with their translations."""
    for entry in _entries(text):
        key = entry["msgid"]
        if "msgctxt" in entry:
            key = f"{entry['msgctxt']}\x04{key}"
        translations = [entry[name] for name in sorted(entry) if name.startswith("msgstr")]
        if "msgid_plural" in entry:
            key = f"{key}\0{entry['msgid_plural']}"
        if all(translations):
            yield key, "\0".join(translations)


def _entries(text: str) -> Iterator[dict[str, str]]:
    """Each entry that is in force, by the key words of its lines."""
    entry: dict[str, str] = {}
    keyword = ""
    fuzzy = False
    for line in [*text.splitlines(), ""]:
        line = line.strip()
        if line.startswith("#,"):
            fuzzy = "fuzzy" in line
        elif line.startswith('"'):
            entry[keyword] += ast.literal_eval(line)
        elif line.startswith("msg"):
            keyword, _, value = line.partition(" ")
            entry[keyword] = ast.literal_eval(value)
        elif not line:
            if "msgid" in entry and (not fuzzy or not entry["msgid"]):
                yield entry
            entry, fuzzy = {}, False
