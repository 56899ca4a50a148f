"""docs/commands*.md say of every command what its `--help` says: no option less, none more."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from harborsite.config import BASE_DIR

PAGES = [BASE_DIR / "docs" / "commands.md", BASE_DIR / "docs" / "commands.zh-CN.md"]
OURS = {name: app for name, app in get_commands().items() if str(app).partition(".")[0] == "harborsite"}
OF_ALL = {option for action in BaseCommand().create_parser("", "")._actions for option in action.option_strings}


def words_of(parser: argparse.ArgumentParser, prefix: str) -> Iterator[str]:
    """Every option, and every verb with the command's name before it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, below in action.choices.items():
                yield f"{prefix} {verb}"
                yield from words_of(below, f"{prefix} {verb}")
        else:
            yield from (option for option in action.option_strings if option not in OF_ALL)


def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"(?m)^## (\w+)\n", page.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_has_its_section(page: Path) -> None:
    assert sorted(sections(page)) == sorted(OURS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("name", sorted(OURS))
def test_a_section_names_every_option_and_no_other(page: Path, name: str) -> None:
    parser = load_command_class(str(OURS[name]), name).create_parser("manage.py", name)
    section = sections(page).get(name, "")
    wanted = set(words_of(parser, name))
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"`install\.sh[^`]*`", "", section)))
    verbs = set(re.findall(rf"`({name} [a-z-]+)", section))
    assert said | verbs == wanted
