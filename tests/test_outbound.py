"""What the server itself sends: only to addresses it may call, and credentials only to whom they are for."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harborsite.outbound import (
    AddressRefused,
    AnswerTooLarge,
    CertificateRefused,
    Client,
    Origin,
    OutboundError,
    TransferBroken,
    Unreachable,
    addresses,
    is_same_owner,
)

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))  # localhost can be either
DEFAULT = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
Handler = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A server on loopback whose answers the test decides, by path; it remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.pages: dict[str, Handler] = {}
        outer = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                outer.seen.append((self.command, self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.pages.get(self.path, page(b"hello"))(self)

            def log_message(self, *details: Any) -> None:
                """Quiet."""

        for method in ("GET", "HEAD", "POST", "PUT"):
            setattr(Answers, f"do_{method}", Answers.answer)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def page(body: bytes, *, status: int = 200, announced: int | None = None, **headers: str) -> Handler:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body) if announced is None else announced))
        request.end_headers()
        request.wfile.write(body)
        if announced is not None:
            request.close_connection = True

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    allow(monkeypatch, *LOOPBACK)
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """One that speaks TLS, with a certificate that nobody vouches for."""
    allow(monkeypatch, *LOOPBACK)
    certificate_for("127.0.0.1", tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = Server()
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.url = f"https://127.0.0.1:{server.port}"
    server.start()
    yield server
    server.stop()


def allow(monkeypatch: pytest.MonkeyPatch, *networks: addresses.Network) -> None:
    class Settings:
        allowed_networks = networks

    monkeypatch.setattr(addresses, "current", Settings)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("10.1.2.3", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:10.0.0.1", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2606:4700::1", True),
    ],
)
def test_public_and_named_addresses_may_be_called(address: str, expected: bool) -> None:
    assert addresses.is_allowed(ipaddress.ip_address(address), DEFAULT) is expected


def test_loopback_and_link_local_must_be_named_as_such() -> None:
    loopback, metadata = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("169.254.169.254")
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    assert not addresses.is_allowed(loopback, everything)
    assert not addresses.is_allowed(metadata, everything)
    assert addresses.is_allowed(loopback, LOOPBACK)
    assert addresses.is_allowed(metadata, (ipaddress.ip_network("169.254.169.254/32"),))


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost.", "[::ffff:127.0.0.1]"])
def test_other_spellings_of_loopback_are_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    allow(monkeypatch, *DEFAULT)
    with Client() as client, pytest.raises(AddressRefused, match="allowed_networks"):
        client.request("GET", f"http://{host}:1/")


def test_a_refused_address_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, *DEFAULT)
    with Client() as client, pytest.raises(AddressRefused) as refused:
        client.request("GET", "http://127.0.0.1:1/")
    assert str(refused.value) == "127.0.0.1 is not in allowed_networks of harbor.cfg"


def test_one_forbidden_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, *DEFAULT)
    answers = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with Client() as client, pytest.raises(AddressRefused):
        client.request("GET", "http://two-faced.example.com/")


def test_a_name_is_resolved_once_and_the_checked_address_is_called(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the second time gains nothing."""
    asked = []

    def resolver(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with Client() as client, client.request("GET", f"http://rebound.example.com:{server.port}/") as answer:
        assert answer.content() == b"hello"
    assert asked == ["rebound.example.com"]
    assert server.seen[0][2]["Host"] == f"rebound.example.com:{server.port}"


def test_redirects_are_followed_only_where_wanted(server: Server) -> None:
    server.pages["/there"] = page(b"", status=307, Location="/here")
    with Client() as client:
        with client.request("GET", f"{server.url}/there") as answer:
            assert answer.status == 307
        with client.request("GET", f"{server.url}/there", redirects=1) as answer:
            assert (answer.status, answer.content()) == (200, b"hello")


def test_a_redirect_to_a_forbidden_address_is_refused(server: Server) -> None:
    server.pages["/there"] = page(b"", status=302, Location="http://169.254.169.254/latest/meta-data/")
    with Client() as client, pytest.raises(AddressRefused):
        client.request("GET", f"{server.url}/there", redirects=3)


SECRETS = {"Authorization": "Basic c2VjcmV0", "Cookie": "sid=1", "Proxy-Authorization": "Basic c2VjcmV0"}


@pytest.mark.parametrize(
    "elsewhere", ["http://localhost:{port}", "http://127.0.0.1:{other}", "https://127.0.0.1:{tls}"]
)
def test_a_redirect_to_another_origin_takes_no_credentials_along(
    server: Server, secure: Server, elsewhere: str
) -> None:
    """Another host, another port, another scheme; and they are not taken up again on the way back."""
    other = Server()
    other.start()
    target = elsewhere.format(port=server.port, other=other.port, tls=secure.port)
    server.pages["/there"] = page(b"", status=307, Location=f"{target}/on")
    for each in (server, other):
        each.pages["/on"] = page(b"", status=307, Location=f"{server.url}/back")
    headers = {**SECRETS, "Accept": "*/*"}
    with (
        Client(verify=False) as client,
        client.request("GET", f"{server.url}/there", headers=headers, redirects=3) as end,
    ):
        assert end.status == 200
    (_, _, first), *others = [*server.seen, *other.seen, *secure.seen]
    assert SECRETS.items() <= first.items()
    assert len(others) >= 1
    for _, _, sent in others:
        assert not SECRETS.keys() & sent.keys()
        assert sent["Accept"] == "*/*"
    other.stop()


def test_a_redirect_within_an_origin_keeps_the_credentials(server: Server) -> None:
    server.pages["/there"] = page(b"", status=307, Location="/here")
    with Client() as client, client.request("GET", f"{server.url}/there", headers=SECRETS, redirects=1) as answer:
        assert answer.status == 200
    assert all(SECRETS.items() <= sent.items() for _, _, sent in server.seen)


def test_a_redirect_from_https_to_http_is_not_followed(server: Server, secure: Server) -> None:
    secure.pages["/there"] = page(b"", status=307, Location=f"{server.url}/plain")
    with Client(verify=False) as client, pytest.raises(OutboundError, match="from https to http"):
        client.request("GET", f"{secure.url}/there", headers=SECRETS, redirects=3)
    assert server.seen == []


def test_a_redirect_loop_ends(server: Server) -> None:
    server.pages["/round"] = page(b"", status=302, Location="/round")
    with Client() as client, client.request("GET", f"{server.url}/round", redirects=3) as answer:
        assert answer.status == 302
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "file:///etc/passwd", "http://", "//x", "", "http://user:pw@example.com/"),
        *("http://a b/", "http://example.com:99999/", "http://example.com/\r\nX: y", "http:\\\\example.com"),
    ],
)
def test_only_plain_http_addresses_are_called(url: str) -> None:
    with Client() as client, pytest.raises(OutboundError):
        client.request("GET", url)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io", True),
        ("https://registry.example.com", "https://registry.example.com:5001", True),
        ("https://registry.gitlab.com", "https://gitlab.com", True),
        ("https://registry.example.com", "http://registry.example.com", False),
        ("https://registry.example.com", "https://example.org", False),
        ("https://victim.co.uk", "https://evil.co.uk", False),
        ("https://victim.github.io", "https://evil.github.io", False),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5001", True),
        ("http://10.0.0.1", "http://10.0.0.2", False),
        ("https://example.com", "https://example.com.evil.org", False),
    ],
)
def test_credentials_go_to_hosts_of_one_owner(one: str, other: str, expected: bool) -> None:
    assert is_same_owner(Origin.of(one), Origin.of(other)) is expected


def test_connections_are_kept_and_stale_ones_replaced(server: Server) -> None:
    with Client() as client:
        for _ in range(3):
            with client.request("GET", server.url) as answer:
                answer.content()
        server.pages["/last"] = page(b"bye", Connection="close")
        with client.request("GET", f"{server.url}/last") as answer:
            assert answer.content() == b"bye"
        with client.request("GET", server.url) as answer:
            assert answer.content() == b"hello"


def test_a_body_that_breaks_off_is_an_error(server: Server) -> None:
    server.pages["/short"] = page(b"only this", announced=1000)
    with Client() as client, client.request("GET", f"{server.url}/short") as answer, pytest.raises(TransferBroken):
        answer.content()


def test_an_answer_has_a_limit(server: Server) -> None:
    server.pages["/long"] = page(b"x" * 5000)
    with Client() as client, client.request("GET", f"{server.url}/long") as answer, pytest.raises(AnswerTooLarge):
        answer.content(limit=4999)


def test_a_server_that_does_not_answer_is_given_up(server: Server) -> None:
    ready = threading.Event()
    server.pages["/slow"] = lambda request: setattr(request, "close_connection", ready.wait(5))
    with Client(timeout=0.2) as client, pytest.raises(Unreachable, match="in time"):
        client.request("GET", f"{server.url}/slow")
    ready.set()


def drops(request: BaseHTTPRequestHandler, pieces: Iterator[bytes]) -> None:
    """An answer that comes a byte at a time, for as long as somebody listens."""
    with suppress(OSError):
        for piece in pieces:
            request.wfile.write(piece)
            time.sleep(0.05)
    request.close_connection = True


def test_an_answer_that_comes_drop_by_drop_is_given_up(server: Server) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    server.pages["/head"] = lambda request: drops(request, (b"%c" % byte for byte in head * 100))
    server.pages["/body"] = lambda request: drops(request, chain([head], repeat(b"x", 1000)))
    with Client(timeout=0.3) as client:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            client.request("GET", f"{server.url}/head")
        with client.request("GET", f"{server.url}/body") as answer, pytest.raises(TransferBroken, match="too slow"):
            answer.content()
        assert time.monotonic() - began < 20


def test_a_slow_reader_is_no_slow_server(server: Server) -> None:
    server.pages["/"] = page(b"x" * 100_000)
    with Client(timeout=0.2) as client, client.request("GET", f"{server.url}/") as answer:
        assert answer.read(10) == b"x" * 10
        time.sleep(0.5)
        assert len(answer.content()) == 99_990


def test_nobody_listens(server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Client() as client, pytest.raises(Unreachable):
            client.request("GET", f"http://127.0.0.1:{unused.getsockname()[1]}/")


def test_https_where_http_is_spoken_is_said_so(server: Server) -> None:
    with Client() as client, pytest.raises(OutboundError, match=r"^127\.0\.0\.1:\d+ does not speak TLS: http instead"):
        client.request("GET", server.url.replace("http:", "https:"))


def test_a_certificate_must_be_trusted(secure: Server, tmp_path: Path) -> None:
    pem = (tmp_path / "server.pem").read_text()
    certificate = pem[: pem.index("-----END CERTIFICATE-----") + 25]
    with Client() as client, pytest.raises(CertificateRefused, match="certificate"):
        client.request("GET", secure.url)
    for client in (Client(ca_certificate=certificate), Client(verify=False)):
        with client, client.request("GET", secure.url) as answer:
            assert answer.content() == b"hello"
    with pytest.raises(OutboundError, match="PEM"):
        Client(ca_certificate="no certificate")


def certificate_for(address: str, file: Path) -> str:
    """A self-signed certificate with its key in `file`; returns the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(pem + private)
    return pem.decode()
