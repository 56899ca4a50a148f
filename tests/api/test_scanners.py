"""Registrations of scanners and instances that preheat: kept, asked, and never telling what they are given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from projects.models import Project, User
from registry.models import Scanner
from registry.services.scanners import MANIFEST_TYPE
from replication.models import PreheatInstance
from tests.api.calls import delete, get, names, patch, post, put
from tests.factories import client_for
from tests.test_outbound import LOOPBACK, allow

ABLE = {"type": "vulnerability", "consumes_mime_types": [MANIFEST_TYPE], "produces_mime_types": ["report"]}
SAID = {"scanner": {"name": "Stub", "vendor": "V", "version": "1"}, "capabilities": [ABLE], "properties": {"a": "b"}}
CREDENTIAL = "canary:Bird7"


class Adapter:
    """Says what it is told to, and notes who asked."""

    def __init__(self) -> None:
        self.says: Any = SAID
        self.status = 200
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                content = json.dumps(outer.says).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *details: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Adapter]:
    allow(monkeypatch, *LOOPBACK)
    found = Adapter()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def boss(admin: User) -> Client:
    return client_for(admin)


def scanner(address: str, **changes: Any) -> dict[str, Any]:
    return {"name": "stub", "url": address, **changes}


def registered(boss: Client, body: dict[str, Any]) -> str:
    answer = post(boss, "/scanners", body)
    assert answer.status_code == 201, answer.content
    return str(answer["Location"].rpartition("/")[2])


def test_a_scanner_is_registered_if_its_adapter_answers(boss: Client, adapter: Adapter, library: Project) -> None:
    uuid = registered(boss, scanner(adapter.url))
    assert adapter.asked[0][0] == "/api/v1/metadata"
    shown = get(boss, f"/scanners/{uuid}").json()
    assert shown["capabilities"] == {"support_vulnerability": True}
    assert shown["is_default"] is True
    assert get(boss, f"/scanners/{uuid}/metadata").json() == SAID
    assert get(boss, "/projects/library/scanner").json()["uuid"] == uuid
    assert names(get(boss, "/projects/library/scanner/candidates")) == ["stub"]
    assert AuditLog.objects.filter(resource="scanner stub").count() == 1
    assert post(boss, "/scanners", scanner(adapter.url, name="other")).status_code == 409
    assert post(boss, "/scanners", scanner(f"{adapter.url}/x", name="stub")).status_code == 409


@pytest.mark.parametrize(
    "says",
    [{}, [], {**SAID, "capabilities": []}, {**SAID, "capabilities": [{}]}, {**SAID, "scanner": {"name": "x"}},
     {**SAID, "capabilities": [{**ABLE, "consumes_mime_types": []}]}],
)  # fmt: skip
def test_what_is_no_adapter_is_not_registered(boss: Client, adapter: Adapter, says: Any) -> None:
    adapter.says = says
    assert post(boss, "/scanners", scanner(adapter.url)).status_code == 400
    assert post(boss, "/scanners/ping", scanner(adapter.url)).status_code == 400
    assert not Scanner.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "Trivy"}, 400),
        ({"name": "x" * 129}, 400),
        ({"url": "nothing"}, 422),
        ({"url": "file:///etc/passwd"}, 422),
        ({"auth": "Magic"}, 400),
        ({"auth": "Basic"}, 400),
    ],
)
def test_a_registration_that_can_not_be_is_refused(
    boss: Client, adapter: Adapter, changes: dict[str, Any], status: int
) -> None:
    assert post(boss, "/scanners", scanner(adapter.url, **changes)).status_code == status
    assert not adapter.asked


def test_one_scanner_is_the_default_and_stays_able(boss: Client, adapter: Adapter) -> None:
    first = registered(boss, scanner(adapter.url))
    second = registered(boss, scanner(f"{adapter.url}/second", name="second"))
    assert patch(boss, f"/scanners/{second}", {"is_default": True}).status_code == 200
    assert list(Scanner.objects.filter(is_default=True).values_list("uuid", flat=True)) == [second]
    disabled = scanner(f"{adapter.url}/second", name="second", disabled=True)
    assert put(boss, f"/scanners/{second}", disabled).status_code == 412
    assert put(boss, f"/scanners/{first}", scanner(adapter.url, disabled=True)).status_code == 200
    assert patch(boss, f"/scanners/{first}", {"is_default": True}).status_code == 412
    assert delete(boss, f"/scanners/{second}").json()["capabilities"] is None
    assert get(boss, f"/scanners/{second}").status_code == 404


def test_a_credential_is_sealed_and_goes_nowhere_it_was_not_meant_for(boss: Client, adapter: Adapter) -> None:
    uuid = registered(boss, scanner(adapter.url, auth="Basic", access_credential=CREDENTIAL))
    assert adapter.asked[-1][1]["Authorization"].startswith("Basic ")
    assert CREDENTIAL not in Scanner.objects.get().credential
    assert CREDENTIAL not in get(boss, f"/scanners/{uuid}").content.decode()
    kept = scanner(adapter.url, auth="Basic", description="changed")
    assert put(boss, f"/scanners/{uuid}", kept).status_code == 200
    assert adapter.asked[-1][1]["Authorization"].startswith("Basic ")
    asked = len(adapter.asked)
    for changes in ({"url": f"{adapter.url}/elsewhere"}, {"skip_certVerify": True}, {"auth": "Bearer"}):
        assert put(boss, f"/scanners/{uuid}", {**kept, **changes}).status_code == 400
    assert len(adapter.asked) == asked


def test_an_inner_address_is_no_scanner(boss: Client, adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch)
    assert post(boss, "/scanners", scanner(adapter.url)).status_code == 400
    assert post(boss, "/p2p/preheat/instances/ping", instance(adapter.url)).status_code == 400
    assert not adapter.asked


def test_scanners_are_an_administrators(carol: User, library: Project) -> None:
    client = client_for(carol)
    for answer in (
        get(client, "/scanners"),
        post(client, "/scanners", scanner("http://10.1.2.3")),
        post(client, "/scanners/ping", scanner("http://10.1.2.3")),
        get(client, "/scanners/x/metadata"),
        post(client, "/p2p/preheat/instances", instance("http://10.1.2.3")),
        post(client, "/p2p/preheat/instances/ping", instance("http://10.1.2.3")),
    ):
        assert answer.status_code == 403


# --- preheating -----------------------------------------------------------------------------------


def instance(address: str, **changes: Any) -> dict[str, Any]:
    return {"name": "df", "vendor": "dragonfly", "endpoint": address, "auth_mode": "NONE", "enabled": True, **changes}


def test_an_instance_is_kept_changed_and_asked(boss: Client, adapter: Adapter, library: Project) -> None:
    secret = {"auth_mode": "BASIC", "auth_info": {"username": "u", "password": "Bird7"}}
    made = post(boss, "/p2p/preheat/instances", instance(adapter.url, default=True, **secret))
    assert made["Location"] == "/api/v2.0/p2p/preheat/instances/df"
    shown = get(boss, "/p2p/preheat/instances/df").json()
    assert "auth_info" not in shown
    assert "Bird7" not in PreheatInstance.objects.get().auth_info
    assert post(boss, "/p2p/preheat/instances/ping", {"id": shown["id"]}).status_code == 200
    path, headers = adapter.asked[-1]
    assert path == "/healthy"
    assert headers["Authorization"].startswith("Basic ")
    moved = {**instance(f"{adapter.url}/new", auth_mode="BASIC"), "id": shown["id"]}
    assert put(boss, "/p2p/preheat/instances/df", moved).status_code == 200
    assert post(boss, "/p2p/preheat/instances/ping", {"id": shown["id"]}).status_code == 200
    assert adapter.asked[-1][1]["Authorization"] == "Basic Og=="  # of nobody: the secret was for the old place
    listed = get(boss, "/projects/library/preheat/providers").json()
    assert listed[0]["provider"] == f"dragonfly df-{adapter.url}/new"
    assert delete(boss, "/p2p/preheat/instances/df").status_code == 200
    assert get(boss, "/p2p/preheat/instances").json() == []


@pytest.mark.parametrize(
    "changes",
    [{"name": "-bad"}, {"name": "a" * 64}, {"endpoint": "nothing"}, {"auth_mode": "MAGIC"}, {"vendor": "v" * 65}],
)
def test_an_instance_that_can_not_be_is_refused(boss: Client, changes: dict[str, Any]) -> None:
    assert post(boss, "/p2p/preheat/instances", instance("http://10.1.2.3", **changes)).status_code == 400


def test_names_and_endpoints_of_instances_are_taken_once(boss: Client) -> None:
    assert post(boss, "/p2p/preheat/instances", instance("http://10.1.2.3")).status_code == 201
    assert post(boss, "/p2p/preheat/instances", instance("http://10.1.2.4")).status_code == 409
    assert post(boss, "/p2p/preheat/instances", instance("http://10.1.2.3", name="other")).status_code == 409
