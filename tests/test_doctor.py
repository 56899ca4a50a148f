"""`manage.py doctor`: each fault has its line and its remedy, in both languages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone, translation

from harborsite import config as boot
from harborsite.jobs.models import Execution, Status, Task, Trigger, Worker
from harborsite.setup import certificates, doctor, instance
from harborsite.setup.doctor import Finding, Verdict
from projects import params
from projects.models import User
from registry.auth.keys import ensure_keys
from tests import slapd
from tests.services import LOOPBACK, ROOT, Site, free_port, harborsite
from tests.test_outbound import LOOPBACK as LOCAL
from tests.test_outbound import allow

HTTPS = "ui_url_protocol = https\nssl_cert = c/server.crt\nssl_cert_key = c/server.key\nhttp_port = 0\n"
pytestmark = pytest.mark.django_db


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A data volume with the keys of tokens; the database is that of the tests."""
    (tmp_path / "data" / "secret").mkdir(parents=True)
    ensure_keys(tmp_path / "data" / "secret", make=True)
    return tmp_path


def load(directory: Path, text: str = "") -> boot.Config:
    file = directory / "harbor.cfg"
    file.write_text(f"{text}\nbind = {LOOPBACK}\n" + ("" if "_port" in text else f"http_port = {free_port()}\n"))
    file.chmod(0o600)
    return boot.load(file, {})


def findings(config: boot.Config) -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.examine(config)}


def test_a_sound_installation_that_does_not_run(directory: Path) -> None:
    found = findings(load(directory))
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts == {
        **dict.fromkeys(("configuration", "token_key", "storage", "database", "clock"), Verdict.OK),
        **dict.fromkeys(("server", "jobs"), Verdict.FAILED),
    }
    for finding in found.values():
        assert "\n" not in finding.message + finding.remedy
        assert bool(finding.remedy) is (finding.verdict is not Verdict.OK)
    assert found["server"].remedy == "Run 'manage.py start'."


def test_every_line_is_chinese_for_who_reads_chinese(directory: Path) -> None:
    with translation.override("zh-hans"):
        found = findings(load(directory))
    assert found["server"] == Finding("server", Verdict.FAILED, "没有运行", "请运行 'manage.py start'。")
    assert "可写" in found["storage"].message


def test_a_configuration_that_others_read_is_warned_of(directory: Path) -> None:
    config = load(directory)
    config.source.chmod(0o644)
    found = findings(config)["configuration"]
    assert (found.verdict, found.remedy) == (Verdict.WARNING, f"chmod 600 {config.source}")


@pytest.mark.parametrize(
    ("hostname", "days", "verdict", "message"),
    [
        ("reg.example", 365, Verdict.OK, "valid for 364 more days"),
        ("reg.example", 20, Verdict.WARNING, "valid for 19 more days"),
        ("other.example", 365, Verdict.WARNING, "does not name other.example, so clients refuse it"),
    ],
)
def test_certificates_are_watched(directory: Path, hostname: str, days: int, verdict: Verdict, message: str) -> None:
    certificates.make(config=load(directory, f"hostname = reg.example\n{HTTPS}"), days=days)
    found = findings(load(directory, f"hostname = {hostname}\n{HTTPS}"))["certificate"]
    assert found.verdict is verdict
    assert message in found.message


def test_a_certificate_that_cannot_be_used_has_failed(directory: Path) -> None:
    found = findings(load(directory, HTTPS))["certificate"]
    assert found.verdict is Verdict.FAILED
    assert "ssl_cert: there is no file" in found.message
    assert found.remedy == "Put it there, or run 'manage.py make_cert'."


def test_a_token_key_that_is_gone_has_failed(directory: Path) -> None:
    (directory / "data" / "secret" / "private_key.pem").unlink()
    assert findings(load(directory))["token_key"].verdict is Verdict.FAILED


def test_a_volume_that_is_gone_has_failed(directory: Path) -> None:
    found = findings(load(directory, "data_volume = gone"))["storage"]
    assert found.verdict is Verdict.FAILED
    assert "No such file or directory" in found.message


def test_a_port_of_somebody_else_is_named(directory: Path) -> None:
    config = load(directory)
    with socket.create_server((LOOPBACK, config.port)):
        found = findings(config)["server"]
    assert "Address already in use" in found.message
    assert "change http_port" in found.remedy


def test_the_default_password_is_warned_of(directory: Path, admin: User) -> None:
    assert "administrator" not in findings(load(directory))
    admin.set_password("Harbor12345")
    admin.save()
    found = findings(load(directory))["administrator"]
    assert (found.verdict, found.remedy) == (Verdict.WARNING, "Run 'manage.py users set-password admin'.")


def test_a_clock_that_is_behind_is_told_by_what_was_recorded(directory: Path, admin: User) -> None:
    from audit.models import AuditLog

    AuditLog.objects.create(op_time=timezone.now() + timedelta(hours=1), username="admin", operation="create")
    found = findings(load(directory))["clock"]
    assert found.verdict is Verdict.FAILED
    assert "NTP" in found.remedy


def test_the_queue_is_alive_while_workers_are_heard_of(directory: Path) -> None:
    now = timezone.now()
    worker = Worker.objects.create(name="a:1", host="a", pid=1, start_time=now, heartbeat=now)
    assert findings(load(directory))["jobs"].message == "1 worker lives"
    execution = Execution.objects.create(vendor_type="GARBAGE_COLLECTION", trigger=Trigger.MANUAL, start_time=now)
    task = Task.objects.create(execution=execution, vendor_type="GARBAGE_COLLECTION", status=Status.PENDING)
    Task.objects.filter(pk=task.pk).update(creation_time=now - timedelta(hours=1))
    found = findings(load(directory))["jobs"]
    assert (found.verdict, found.message) == (Verdict.WARNING, "1 worker lives, 1 task waits for a quarter of an hour")
    Worker.objects.filter(pk=worker.pk).update(heartbeat=now - timedelta(minutes=5))
    assert findings(load(directory))["jobs"].verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("redis", "redis_url = redis://127.0.0.1:1/0", "redis_url"),
        ("syslog", "syslog_url = tcp://127.0.0.1:1", "syslog_url"),
        ("parts", "with_proxy = on\ndatabase = mysql://u@127.0.0.1:1/n", ""),
    ],
)
def test_what_is_asked_for_and_does_not_answer_has_failed(directory: Path, name: str, text: str, remedy: str) -> None:
    found = findings(load(directory, text))[name]
    assert found.verdict is (Verdict.FAILED if remedy else Verdict.OK)
    assert remedy in found.remedy


@pytest.mark.parametrize(("password", "verdict"), [("", Verdict.OK), ("wrong", Verdict.FAILED)])
def test_directories_are_asked_to_let_us_in(
    directory: Path, monkeypatch: pytest.MonkeyPatch, password: str, verdict: Verdict
) -> None:
    allow(monkeypatch, *LOCAL)
    with slapd.slapd() as server:
        params.update(
            {
                "ldap_url": server.url,
                "ldap_base_dn": slapd.PEOPLE,
                "ldap_search_dn": slapd.SEARCH_DN,
                "ldap_search_password": password or slapd.SEARCH_PASSWORD,
            }
        )
        params.forget()
        found = findings(load(directory))["ldap"]
        assert found.verdict is verdict
        assert (server.url if verdict is Verdict.OK else "wrong DN or password") in found.message
    found = findings(load(directory))["ldap"]
    assert "no connection to" in found.message
    assert found.remedy


def test_a_collector_that_listens_is_fine(directory: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        place = f"{LOOPBACK}:{server.getsockname()[1]}"
        found = findings(load(directory, f"syslog_url = tcp://{place}"))["syslog"]
    assert (found.verdict, found.message) == (Verdict.OK, place)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_silent_log_collector_matters_while_the_server_runs(
    directory: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool
) -> None:
    monkeypatch.setattr(instance, "running", lambda config: 1 if is_running else None)
    found = findings(load(directory, "with_proxy = on"))["parts"]
    assert found.verdict is (Verdict.FAILED if is_running else Verdict.OK)


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite() as site:
        yield site


def run(site: Site, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "manage.py"), "doctor", *arguments]
    return subprocess.run(argv, env=os.environ | site.env | environ, capture_output=True, text=True, timeout=120)


def test_the_command_ends_well_where_all_is_well(site: Site) -> None:
    done = run(site, "--json")
    found = {finding["name"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert found["server"] == found["jobs"] == found["database"] == "ok"
    assert found["administrator"] == "warning"  # that is no failure


def test_the_command_speaks_the_language_of_the_shell(site: Site) -> None:
    english, chinese = run(site, LC_ALL="C").stdout, run(site, LC_ALL="zh_CN.UTF-8").stdout
    assert "warning  administrator" in english
    assert "→ Run 'manage.py users set-password admin'." in english
    assert "警告       administrator" in chinese
    assert run(site, "--language", "zh-hans", LC_ALL="C").stdout.count("警告") == chinese.count("警告")


def test_the_command_fails_where_something_has(site: Site) -> None:
    done = run(site, HARBOR_SYSLOG_URL="tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert "FAILED   syslog" in done.stdout
