"""The guides in docs/: what they have one type is the same in both languages, and harbor.cfg takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from harborsite import config as boot
from harborsite.config import BASE_DIR

CHINESE = [*sorted((BASE_DIR / "docs").glob("*.zh-CN.md")), BASE_DIR / "README.zh-CN.md"]
GUIDES = [path.with_name(path.name.replace(".zh-CN", "")) for path in CHINESE]
_SETTING = re.compile(r"[a-z0-9_]+ = .*|")


def blocks(page: Path) -> list[str]:
    """What stands between fences, without its indentation, and with one word for each thing to be filled in."""
    found = re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```$", page.read_text(encoding="utf-8"))
    return [re.sub(r"<[^>\n]*>", "<…>", dedent(block)) for block in found]


def settings(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if all(_SETTING.fullmatch(line) for line in block.splitlines()):
            yield block


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_both_languages_have_one_type_the_same(page: Path) -> None:
    assert blocks(page) == blocks(page.with_name(page.name.replace(".md", ".zh-CN.md")))


@pytest.mark.parametrize("name", ["install.md", "https.md", "ldap.md"])
def test_what_a_guide_puts_into_the_configuration_is_taken(name: str, tmp_path: Path) -> None:
    """Each block as it stands, set beside those before it."""
    found = list(settings(BASE_DIR / "docs" / name))
    assert found
    file, lines = tmp_path / "harbor.cfg", dict[str, str]()
    for block in found:
        lines |= dict(line.split(" = ", 1) for line in block.splitlines() if line)
        if "ldap_ca_file" in lines:
            lines["ldap_ca_file"] = str(next(Path("/etc/ssl/certs").glob("*.pem")))
        file.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()), encoding="utf-8")
        boot.load(file, {})
