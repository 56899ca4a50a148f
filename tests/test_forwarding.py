"""Records on their way to a collector: in which shape, and what becomes of them while it is away."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import Mock

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from audit import forwarding, services, switches, syslog
from audit.events import Operation, ResourceType
from audit.forwarding import Forwarder
from audit.models import AuditLog, Forwarding, Outgoing
from projects.models import Project, User
from projects.services import settings
from tests.api.calls import get, put
from tests.factories import client_for, push
from tests.images import image
from tests.test_outbound import LOOPBACK, allow

pytestmark = pytest.mark.django_db(transaction=True)


class Collector:
    """Takes octet-counted messages over TCP; its whole listening socket can go away and come back."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.connections: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self) -> None:
        for each in [self.listener, *self.connections]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # else the thread that waits for it keeps it open
            each.close()
        self.connections.clear()

    def take(self, count: int) -> list[str]:
        """The first so many messages, when they are there, and all that came with them."""
        deadline = time.monotonic() + 10
        while len(self.got) < count:
            assert time.monotonic() < deadline, self.got
            time.sleep(0.01)
        return self.got

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while count := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                self.got.append(stream.read(int(count)).decode())


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """On loopback, which the server may call."""
    allow(monkeypatch, *LOOPBACK)
    monkeypatch.setattr(syslog, "_SETTLE", 0.05)
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    forwarder = Forwarder()
    yield forwarder
    forwarder.close()


@pytest.fixture
def boss(admin: User) -> Client:
    return client_for(admin)


def forward_to(boss: Client, collector: Collector, **more: object) -> None:
    wanted = {"audit_log_forward_endpoint": f"127.0.0.1:{collector.port}", **more}
    answer = put(boss, "/configurations", wanted)
    assert answer.status_code == 200, answer.content


def record(resource: str, username: str = "alice") -> None:
    services.record(actor=username, operation=Operation.CREATE, resource_type=ResourceType.PROJECT, resource=resource)


def resources(collector: Collector, count: int) -> list[str]:
    return [found[1] for text in collector.take(count) if (found := re.search(r"resource:(\S+),", text))]


def test_a_push_is_one_message(boss: Client, library: Project, collector: Collector, forwarder: Forwarder) -> None:
    forward_to(boss, collector)
    Outgoing.objects.all().delete()
    pushed = image("sent")
    push(client_for(library.owner), "library/alpine:v1", pushed)
    forwarder.step()
    (text,) = [each for each in collector.take(1) if "artifact" in each]
    assert re.fullmatch(
        r"<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ harborsite - create_artifact - "
        r'\[operator="alice" resourceType="artifact" result="success" time="\S+"\]: action:create, '
        rf"resource:library/alpine:v1, operation_description:push artifact: library/alpine@{pushed.digest}",
        text,
    )
    assert AuditLog.objects.filter(resource="library/alpine:v1").exists(), "it is kept here, too"
    assert not Outgoing.objects.exists()


def test_nobody_forges_a_record_by_a_name_with_a_line_break(
    boss: Client, collector: Collector, forwarder: Forwarder
) -> None:
    forward_to(boss, collector)
    Outgoing.objects.all().delete()
    record("x", username='eve"\n<110>1 - forged')
    forwarder.step()
    (text,) = collector.take(1)
    assert 'operator="eve\\"\\u000a<110>1 - forged"' in text


def test_what_is_rolled_back_is_not_sent(boss: Client, collector: Collector, forwarder: Forwarder) -> None:
    forward_to(boss, collector)
    Outgoing.objects.all().delete()
    with suppress(RuntimeError), transaction.atomic():
        record("undone")
        raise RuntimeError
    forwarder.step()
    assert collector.got == []


def test_an_outage_loses_nothing_and_is_shown(
    boss: Client, collector: Collector, client: Client, admin: User, forwarder: Forwarder
) -> None:
    forward_to(boss, collector)
    record("before")
    forwarder.step()
    collector.stop()
    pauses = []
    for number in range(3):
        record(f"meanwhile-{number}")
        pauses.append(forwarder.step())
    assert pauses == [1, 2, 4]
    state = forwarding.state()
    assert (state.error != "", state.waiting) == (True, 3), "and signing in is one more"
    client.force_login(admin)
    page = client.get("/logs/").content.decode()
    assert f"The log collector tcp://127.0.0.1:{collector.port} has not been reached since" in page
    assert "4 records wait to be sent." in page
    collector.start()
    forwarder.step()
    assert resources(collector, 5)[:4] == ["before", "meanwhile-0", "meanwhile-1", "meanwhile-2"]
    assert forwarding.state().error == ""
    assert "not been reached" not in client.get("/logs/").content.decode()


def test_many_go_in_batches_in_their_order(
    boss: Client, collector: Collector, monkeypatch: pytest.MonkeyPatch, forwarder: Forwarder
) -> None:
    monkeypatch.setattr(forwarding, "BATCH", 4)
    forward_to(boss, collector)
    Outgoing.objects.all().delete()
    for number in range(10):
        record(f"r{number}")
    assert [forwarder.step() for _ in range(3)] == [0, 0, forwarding.LOOK_SECONDS]
    assert resources(collector, 10) == [f"r{number}" for number in range(10)]


def test_of_two_processes_one_sends_until_its_lease_has_run_out(
    boss: Client, collector: Collector, forwarder: Forwarder
) -> None:
    forward_to(boss, collector)
    first, second = forwarder, Forwarder()
    first.step()
    record("later")
    assert second.step() == forwarding.IDLE_SECONDS
    assert Outgoing.objects.exists()
    Forwarding.objects.update(lease_until=timezone.now())
    second.step()
    second.close()
    assert "later" in resources(collector, 1)


def test_records_need_not_be_kept_here(
    boss: Client, library: Project, collector: Collector, forwarder: Forwarder
) -> None:
    forward_to(boss, collector, skip_audit_log_database=True)
    AuditLog.objects.all().delete()
    record("elsewhere")
    push(client_for(library.owner), "library/alpine:v1", image("elsewhere"))
    forwarder.step()
    assert not AuditLog.objects.exists()
    assert {"elsewhere", "library/alpine:v1"} <= set(resources(collector, 2))
    answer = put(boss, "/configurations", {"audit_log_forward_endpoint": ""})
    assert answer.status_code == 400


def test_event_types_can_be_switched_off(boss: Client, library: Project, collector: Collector) -> None:
    forward_to(boss, collector, disabled_audit_log_event_types="Create_Project, pull_artifact")
    Outgoing.objects.all().delete()
    before = AuditLog.objects.count()
    record("unwanted")
    now = timezone.now()
    services.record_pulls([services.Pull("bob", "library/alpine:v1", "sha256:0", library.pk, now)])
    assert AuditLog.objects.count() == before
    assert not Outgoing.objects.exists()


def test_nothing_waits_where_nothing_is_forwarded(boss: Client, library: Project, forwarder: Forwarder) -> None:
    record("here")
    assert not Outgoing.objects.exists()
    assert forwarder.step() == forwarding.IDLE_SECONDS
    assert get(boss, "/auditlog-exts").json()[0]["resource"] == "here"


@pytest.mark.parametrize("destination", ["udp://127.0.0.1:{}", "tcp://127.0.0.1:{}", "tcp://no.such.host.invalid:{}"])
def test_a_collector_that_is_not_there_is_an_error_and_no_loss(
    db: None, destination: str, monkeypatch: pytest.MonkeyPatch, forwarder: Forwarder
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    switched = switches.Switches(destination=destination.format(port), checked=False)
    monkeypatch.setattr(switches, "_read", lambda: switched)
    record("kept")
    forwarder.step()
    assert Outgoing.objects.count() == 1
    assert forwarding.state().error


def test_only_addresses_that_the_server_may_call_are_set_while_it_runs(
    boss: Client, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither tried nor kept: an administrator does not look round the server's own network by it."""
    allow(monkeypatch)
    for host, address in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("2130706433", "127.0.0.1")):
        answer = put(boss, "/configurations", {"audit_log_forward_endpoint": f"{host}:{collector.port}"})
        assert answer.status_code == 400
        message = answer.json()["errors"][0]["message"]
        assert message.startswith(("localhost is ::1" if host == "localhost" else address, f"{host} is {address}"))
        assert message.endswith("not in allowed_networks of harbor.cfg")
    assert collector.connections == []
    assert not switches.now().destination


def test_an_endpoint_that_may_no_longer_be_called_is_not_connected_to(
    boss: Client, collector: Collector, monkeypatch: pytest.MonkeyPatch, forwarder: Forwarder
) -> None:
    """allowed_networks has changed since, or the name leads elsewhere now: it is looked at for each connection."""
    forward_to(boss, collector)
    before = len(collector.connections)
    record("kept")
    allow(monkeypatch)
    forwarder.step()
    assert forwarding.state().error == "127.0.0.1 is not in allowed_networks of harbor.cfg"
    assert Outgoing.objects.filter(message__contains="kept").exists()
    assert len(collector.connections) == before


def test_what_harbor_cfg_names_itself_needs_no_other_leave(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, forwarder: Forwarder
) -> None:
    allow(monkeypatch)
    monkeypatch.setattr(settings, "current", lambda: Mock(syslog_url=f"tcp://127.0.0.1:{collector.port}"))
    record("named")
    forwarder.step()
    assert "named" in resources(collector, 1)
