"""Everything by which the server can be made to call somebody, held against one rule: only who may be called is."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.test import Client

from audit import syslog
from harborsite.sealing import seal
from projects.identity.ldap import transport
from projects.identity.ldap.sources import Source
from projects.models import Project, User, WebhookPolicy
from projects.webhooks import delivery
from registry.models import Scanner
from registry.services import scanners
from replication.preheat import instances
from replication.services import registries
from tests.factories import ClientFor
from tests.test_outbound import allow

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "canary-77ab"
HERE, THERE = "127.0.0.1", "127.0.0.2"
NAME = "rebound.example.com"


class Listener:
    """What connects, and what it says first; the answer is `answer`, if there is one, and the end."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self.answer = b""
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _peer = self._socket.accept()
                self.connections += 1
                with connection:
                    connection.settimeout(0.5)
                    with suppress(OSError):
                        self.heard.append(connection.recv(65_536))
                        connection.sendall(self.answer)

    def wait_for_one(self) -> None:
        """Some ways hang up before the connection is accepted."""
        deadline = time.monotonic() + 30
        while not self.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def here() -> Iterator[Listener]:
    listener = Listener(HERE)
    yield listener
    listener.close()


@pytest.fixture
def there(here: Listener) -> Iterator[Listener]:
    """Another host of the same port."""
    listener = Listener(THERE, here.port)
    yield listener
    listener.close()


Way = Callable[[str], object]


def registry(kind: str) -> Way:
    def call(place: str) -> None:
        described = registries.Description(
            name="far", type=kind, url=f"http://{place}", access_key="robot", access_secret=SECRET
        )
        registries.ping(description=described)

    return call


def webhook(place: str) -> None:
    address = f"http://{place}/hook"
    target = {"type": "http", "address": address, "auth_header": SECRET, "payload_format": "Default"}
    project = Project.objects.get(name="library")
    policy, _made = WebhookPolicy.objects.get_or_create(project=project, name="hook", targets=[target])
    delivery.deliver(policy_id=policy.pk, address=address, payload="{}", log=lambda _line: None)


def scanner(place: str) -> None:
    scanners.metadata(Scanner(url=f"http://{place}", auth=Scanner.Auth.BEARER, credential=seal(SECRET)))


def preheat(place: str) -> None:
    described = instances.Description(
        name="peers", vendor="dragonfly", endpoint=f"http://{place}", auth_mode="OAUTH", auth_info={"token": SECRET}
    )
    instances.ping(description=described)


def ldap(place: str) -> None:
    transport.connect(Source(url=f"ldap://{place}"), deadline=time.monotonic() + 5).close()


def ldap_by_tls(place: str) -> None:
    transport.connect(Source(url=f"ldaps://{place}"), deadline=time.monotonic() + 5).close()


def forwarding(place: str) -> None:
    sender = syslog.connect(f"tcp://{place}")
    try:
        sender.send(["hello"])
    finally:
        sender.close()


WAYS: dict[str, Way] = {
    "docker-registry": registry("docker-registry"),
    "harbor": registry("harbor"),
    "docker-hub": registry("docker-hub"),
    "webhook": webhook,
    "scanner": scanner,
    "preheat": preheat,
    "ldap": ldap,
    "ldaps": ldap_by_tls,
    "forwarding": forwarding,
}
BY_HTTP = [name for name in WAYS if name not in {"ldap", "ldaps", "forwarding"}]


def attempt(way: str, place: str) -> str:
    """Go that way, and say what is said about it; here only what arrives where counts."""
    try:
        WAYS[way](place)
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "host", [HERE, "localhost", "LOCALHOST", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]
)
def test_no_way_leads_to_an_address_that_may_not_be_called(
    library: Project, here: Listener, monkeypatch: pytest.MonkeyPatch, way: str, host: str
) -> None:
    allow(monkeypatch)
    assert "allowed_networks of harbor.cfg" in attempt(way, f"{host}:{here.port}")
    assert here.connections == 0


def rebind(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server that says something else the second time; what it was asked is in the list."""
    resolve, asked = socket.getaddrinfo, list[str]()

    def answer(host: Any, *given: Any, **named: Any) -> Any:
        if host != NAME:
            return resolve(host, *given, **named)
        asked.append(host)
        return resolve(HERE if len(asked) == 1 else THERE, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_changes_its_address_leads_nowhere_else(
    library: Project, here: Listener, there: Listener, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The name server says something else each time: what was checked is what is connected to."""
    allow(monkeypatch, ipaddress.ip_network(f"{HERE}/32"))
    asked = rebind(monkeypatch)
    attempt(way, f"{NAME}:{here.port}")
    here.wait_for_one()
    assert (there.connections, len(asked)) == (0, 1)
    assert "allowed_networks of harbor.cfg" in attempt(way, f"{NAME}:{here.port}")
    assert (here.connections, there.connections) == (1, 0)


@pytest.mark.parametrize("way", BY_HTTP)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_a_secret_along(
    library: Project, here: Listener, there: Listener, monkeypatch: pytest.MonkeyPatch, way: str, status: int
) -> None:
    allow(monkeypatch, ipaddress.ip_network("127.0.0.0/8"))
    head = f"HTTP/1.1 {status} Moved\r\nLocation: http://{THERE}:{there.port}/\r\nContent-Length: 0\r\n\r\n"
    here.answer = head.encode()
    assert attempt(way, f"{HERE}:{here.port}")
    assert here.connections == 1
    assert there.connections == 0


@pytest.mark.parametrize("way", BY_HTTP)
def test_a_realm_on_another_host_hears_no_secret(
    library: Project, here: Listener, there: Listener, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    allow(monkeypatch, ipaddress.ip_network("127.0.0.0/8"))
    realm = f'WWW-Authenticate: Bearer realm="http://{THERE}:{there.port}/token",service="x"'
    here.answer = f"HTTP/1.1 401 Unauthorized\r\n{realm}\r\nContent-Length: 0\r\n\r\n".encode()
    assert attempt(way, f"{HERE}:{here.port}")
    assert here.connections == 1
    pair = b64encode(f"robot:{SECRET}".encode())
    assert not any(SECRET.encode() in heard or pair in heard for heard in there.heard)


def test_the_endpoint_of_forwarding_is_tried_at_the_checked_address(
    admin: User, client_for: ClientFor, here: Listener, there: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting it is the one way that connects before anything is kept."""
    allow(monkeypatch, ipaddress.ip_network(f"{HERE}/32"))
    rebind(monkeypatch)
    client: Client = client_for(admin)
    body = json.dumps({"audit_log_forward_endpoint": f"{NAME}:{here.port}"})
    answers = [
        client.put("/api/v2.0/configurations", body, content_type="application/json").status_code for _ in range(2)
    ]
    assert answers == [200, 400]
    assert there.connections == 0
