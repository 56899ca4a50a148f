"""What a shell is told, in its own language: before Django is set up, and in commands."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.utils import translation

from harborsite import shelltext
from harborsite.config import BASE_DIR, ConfigError, load

OURS = {name: app for name, app in get_commands().items() if str(app).startswith("harborsite")}
OWN = {"PYTHONUTF8": "1", "DJANGO_SETTINGS_MODULE": "harborsite.settings"}  # not the tests'
CHINESE = {"LC_ALL": "zh_CN.UTF-8"}


def manage(*arguments: str, config: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=os.environ | OWN | {"HARBOR_CFG": str(config)} | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh-hans"),
    ],
)
def test_the_language_is_that_of_the_locale(environ: dict[str, str], language: str) -> None:
    assert shelltext.language(environ) == language


def test_a_mistake_in_the_configuration_is_told_in_the_shells_language(tmp_path: Path) -> None:
    file = tmp_path / "harbor.cfg"
    file.write_text("hostname = registry.example.com\nhttp_port = none\n")
    said = manage("status", config=file, **CHINESE)
    assert said.returncode == 1
    assert said.stderr.strip() == f"配置错误：{file}:2：http_port：'none' 不可用：必须是 0 到 65535 之间的整数"


def test_commands_speak_the_shells_language(tmp_path: Path) -> None:
    file = tmp_path / "harbor.cfg"
    file.write_text(f"hostname = registry.example.com\nhttp_port = 8099\ndata_volume = {tmp_path / 'data'}\n")
    assert manage("status", config=file, **CHINESE).stdout.strip() == "未运行"
    refused = manage("users", "list", config=file, **CHINESE)
    assert refused.stderr.strip() == f"错误：{tmp_path / 'data'} 尚未为此版本准备。请运行 'manage.py prepare'。"


def test_commands_explain_their_usage_in_the_shells_language(tmp_path: Path) -> None:
    file = _file(tmp_path, "hostname = registry.example.com\n")
    wrong = manage("gc", "--grace", "soon", config=file, **CHINESE)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("用法：manage.py gc ")
    assert wrong.stderr.endswith("manage.py gc：错误：参数 --grace：无效的 int 值：'soon'\n")
    told = manage("help", "gc", config=file, **CHINESE).stdout
    assert "删除没有制品需要的数据块。" in told
    assert "选项:\n  -h, --help            显示此帮助并退出\n" in told


@pytest.mark.parametrize("name", sorted(set(OURS) - {"configdocs"}))  # which developers use
def test_every_word_of_a_commands_usage_has_its_chinese(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    command = load_command_class(str(OURS[name]), name)
    with translation.override(shelltext.language()):
        parser = command.create_parser("manage.py", name)
    english = [text for text in told_by(parser) if not re.search("[\u4e00-\u9fff]", text)]
    assert not english


def told_by(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from filter(None, [parser.description])
    for action in parser._actions:
        yield from filter(None, [action.help])
        if isinstance(action, argparse._SubParsersAction):
            yield from (verb.help or "" for verb in action._choices_actions)
            for below in action.choices.values():
                yield from (option.help for option in below._actions if option.help)


def test_what_a_request_is_told_is_in_its_own_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    for language, complaint in (("en", "must be a host name"), ("zh-hans", "必须是主机名")):
        with translation.override(language), pytest.raises(ConfigError, match=complaint):
            load(_file(tmp_path, "hostname =\n"), {})


def _file(directory: Path, text: str) -> Path:
    file = directory / "other.cfg"
    file.write_text(text)
    return file


def test_install_sh_has_every_message_in_chinese() -> None:
    said = re.compile(r'\b(?:say|step|done_with|fail) "((?:[^"\\$]|\\.)+)"')
    messages = set(said.findall((BASE_DIR / "install.sh").read_text())) - {"%s", "harbor.cfg"}
    chinese = dict(
        re.findall(r'^    \["(.+?)"\]="(.+)"$', (BASE_DIR / "deploy/install.zh.sh").read_text(), re.MULTILINE)
    )
    assert len(messages) > 20
    assert messages == set(chinese)
    for message, translation_ in chinese.items():
        assert message.count("%s") == translation_.count("%s"), message
        assert message.count("\\n") == translation_.count("\\n"), message


def test_install_sh_speaks_the_shells_language() -> None:
    for locale, line in (
        ("zh_CN.UTF-8", "根据 harbor.cfg 安装并启动 Harborsite。再次运行则升级并重启。"),
        ("C", "Sets Harborsite up"),
    ):
        said = subprocess.run(
            [BASE_DIR / "install.sh", "--help"],
            env=os.environ | {"LC_ALL": locale},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert line in said.stdout + said.stderr
