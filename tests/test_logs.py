"""Log lines: whole, attributable, and without secrets; sent to the collector without ever waiting for it."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from harborsite.api.middleware import RequestId
from harborsite.observability import logs
from tests.services import workspace

SECRET = "Tr0ub4dor"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


def record(message: str, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    made = logging.makeLogRecord({"name": "registry", "levelno": logging.WARNING, "levelname": "WARNING", **extra})
    made.msg, made.exc_info = message, info
    return made


def parsed(made: logging.LogRecord) -> dict[str, Any]:
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    content: dict[str, Any] = json.loads(line)
    return content


def test_a_plain_line_cannot_be_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    line = logs.LineFormatter().format(record("pushed", tag='a"b\nINFO forged', size=3))
    assert line.endswith(r'WARNING registry pushed tag="a\"b\nINFO forged" size=3')
    assert "\n" not in line


def test_a_json_line_is_one_object_with_types_and_traceback() -> None:
    content = parsed(record("failed\ntwice", ValueError("no"), size=3, ok=True, tag="v1", place=Path("/x")))
    assert content["message"] == "failed\ntwice"
    assert (content["size"], content["ok"], content["tag"], content["place"]) == (3, True, "v1", "/x")
    assert (content["level"], content["logger"]) == ("WARNING", "registry")
    assert "ValueError: no" in content["traceback"]


def test_a_field_does_not_replace_what_every_line_has() -> None:
    assert parsed(record("true", role="forged", time="forged"))["message"] == "true"
    assert parsed(record("true", role="forged"))["role"] == "server"


@pytest.mark.parametrize(
    "made",
    [
        record("sent", password=SECRET),
        record("sent", ldap_search_pwd_token=SECRET),
        record("sent", Authorization=f"Basic {SECRET}"),
        record(f"header was Authorization: Basic {SECRET}=="),
        record(f"calling https://ann:{SECRET}@registry.example/v2/"),
        record("sent", headers={"x": f"Bearer {SECRET}.x.y"}),
        record("failed", ValueError(f"mysql://root:{SECRET}@db/x")),
    ],
)
@pytest.mark.parametrize("formatter", [logs.LineFormatter(), logs.JsonFormatter()])
def test_no_line_holds_a_secret(formatter: logging.Formatter, made: logging.LogRecord) -> None:
    line = formatter.format(made)
    assert SECRET not in line
    assert "***" in line


def test_a_web_token_is_hidden_wherever_it_stands() -> None:
    assert logs.without_secrets(f"got {TOKEN}, refused") == "got ***, refused"


def test_every_line_of_a_request_carries_its_id() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(parsed(record("inside"))["request_id"])
        seen.append(logs.LineFormatter().format(record("inside")).rpartition(" ")[2])
        return HttpResponse()

    answer = RequestId(view)(RequestFactory().get("/", headers={"x-request-id": "abc"}))
    assert answer["X-Request-Id"] == "abc"
    assert seen == ["abc", "request_id=abc"]
    assert "request_id" not in parsed(record("outside"))


# --- the collector ----------------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[Path]:
    with workspace("logs") as directory:
        yield directory / "log.sock"


def listen(place: Path) -> socket.socket:
    place.unlink(missing_ok=True)
    collector = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    collector.settimeout(5)
    collector.bind(str(place))
    return collector


def handler(place: Path) -> logging.Handler:
    made = logs.CollectorHandler(str(place))
    made.setFormatter(logs.LineFormatter())
    return made


def test_the_collector_gets_lines_also_after_it_was_started_again(place: Path) -> None:
    sender = handler(place)
    for number in range(2):
        with listen(place) as collector:
            sender.emit(record(f"line {number}"))
            assert collector.recv(65536).startswith(b"<132>server: ")
    sender.close()


def test_without_a_collector_lines_go_to_stderr(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sender = handler(place)
    sender.emit(record("nobody listens"))
    assert "WARNING registry nobody listens\n" in capsys.readouterr().err
    sender.close()


def test_a_collector_that_is_stuck_holds_nobody_up(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sender = handler(place)
    with listen(place):
        for number in range(2000):  # more than the kernel keeps for it
            sender.emit(record(f"line {number}"))
    assert "line 1999\n" in capsys.readouterr().err
    sender.close()


def test_the_configuration_of_logging_is_complete(place: Path) -> None:
    plain = logs.configuration(log_format="plain", collector=None)["handlers"]["out"]
    assert plain["class"] == "logging.StreamHandler"
    assert logging.StreamHandler().stream is sys.stderr
    assert logs.configuration(log_format="json", collector=place)["handlers"]["out"]["path"] == str(place)
