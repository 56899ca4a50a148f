"""The web worker alone: what slow, broken and hostile clients get, and that the others do not notice."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest

from harborsite.server.balance import PATIENCE
from tests.server.program import PIECE, PIECES
from tests.services import LOOPBACK, ROOT, ServerProcess, free_port, running, workspace

WHOLE = PIECE * PIECES


@dataclass
class Server:
    port: int
    process: ServerProcess
    tls: bool = False
    plain_port: int = 0  # that of http, where https is spoken

    def raw(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), timeout=10)

    def client(self) -> HTTPConnection:
        if self.tls:
            return HTTPSConnection(LOOPBACK, self.port, timeout=10, context=ssl._create_unverified_context())
        return HTTPConnection(LOOPBACK, self.port, timeout=10)

    def get(self, path: str = "/") -> bytes:
        with closing(self.client()) as client:
            client.request("GET", path)
            return client.getresponse().read()

    def exchange(self, request: bytes) -> bytes:
        """All that the server says to `request` before it closes or falls silent for a moment."""
        with self.raw() as sock:
            sock.sendall(request)
            sock.settimeout(1)
            answer = b""
            try:
                while data := sock.recv(65536):
                    answer += data
            except TimeoutError:
                pass
            return answer


def start(directory: Path, *lines: str, patience: float = PATIENCE) -> ServerProcess:
    cfg = directory / "harbor.cfg"
    cfg.write_text("\n".join([f"bind = {LOOPBACK}", "threads = 4", *lines]))
    return ServerProcess(
        "web",
        [sys.executable, "-m", "tests.server.program", str(cfg), str(patience)],
        directory=directory,
        env={"PYTHONPATH": str(ROOT)},
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    with running(start(tmp_path_factory.mktemp("web"), f"http_port = {port}", "workers = 1")) as process:
        process.wait_until(lambda: listens(port))
        yield Server(port, process)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory, port = tmp_path_factory.mktemp("tls"), free_port()
    subject = ["-subj", "/CN=localhost", "-days", "2"]
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        *subject,
    ]
    subprocess.run(make, cwd=directory, check=True, capture_output=True)
    tls = [
        "ui_url_protocol = https",
        "ssl_cert = cert.pem",
        "ssl_cert_key = key.pem",
        "workers = 1",
        f"https_port = {port}",
        f"http_port = {(plain_port := free_port())}",
    ]
    with running(start(directory, *tls)) as process:
        process.wait_until(lambda: listens(port))
        yield Server(port, process, tls=True, plain_port=plain_port)


def test_two_hundred_slow_readers_do_not_stop_others(server: Server) -> None:
    with ExitStack() as stack:
        for number in range(200):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect((LOOPBACK, server.port))
            reader.sendall(
                b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                % ((b"/file", b"/pieces", b"/file?now", b"/pieces?now")[number % 4])
            )
            assert reader.recv(1)
        began = time.monotonic()
        assert server.get() == b"ok"
        assert server.get("/file") == WHOLE
        assert time.monotonic() - began < 3


def test_slow_heads_hold_no_thread(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.raw()).sendall(b"GET / HTTP/1.1\r\nHost:")
        assert server.get() == b"ok"


def test_slow_bodies_leave_threads_for_those_who_read(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(server.raw())
            sock.sendall(b"PATCH /hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        time.sleep(0.3)
        assert server.get() == b"ok"
        with closing(server.client()) as client:  # a small body does not queue with the large ones either
            client.request("POST", "/hash", b"small")
            assert client.getresponse().read().decode() == hashlib.sha256(b"small").hexdigest()


def test_queued_uploads_are_served_when_a_thread_is_free(server: Server) -> None:
    body = WHOLE[: 1 << 20]
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(server.client())) for _ in range(12)]
        for client in clients:
            client.request("PUT", "/hash", iter([body]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        for client in clients:
            assert client.getresponse().read().decode() == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("path", ["/file", "/pieces", "/file?now", "/pieces?now"])
def test_a_slow_reader_gets_every_byte(server: Server, path: str) -> None:
    with closing(server.client()) as client:
        client.request("GET", path)
        response: HTTPResponse = client.getresponse()
        time.sleep(1)  # until the server has parked the response
        assert response.read() == WHOLE
        client.request("GET", "/")  # and the connection is good for more
        assert client.getresponse().read() == b"ok"


@pytest.mark.parametrize("path", ["/file", "/pieces", "/", "/file?now", "/pieces?now"])
def test_tls_carries_the_same_bytes(tls_server: Server, path: str) -> None:
    with closing(tls_server.client()) as client:
        for _ in range(2):
            client.request("GET", path)
            response = client.getresponse()
            time.sleep(0.3)
            assert response.read() == (b"ok" if path == "/" else WHOLE)


def test_tls_takes_uploads_and_survives_clients_that_only_connect(tls_server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(tls_server.raw())
        client = stack.enter_context(closing(tls_server.client()))
        client.request("PUT", "/hash", WHOLE)
        assert client.getresponse().read().decode() == hashlib.sha256(WHOLE).hexdigest()


def test_http_is_sent_on_to_https_from_either_port(tls_server: Server) -> None:
    for port in (tls_server.plain_port, tls_server.port):
        with closing(HTTPConnection(LOOPBACK, port, timeout=10)) as client:
            client.request("PUT", "/hash?a=%0d%0ab", b"x" * 100_000, {"Host": f"reg.example:{port}"})
            answer = client.getresponse()
        assert answer.status == 308
        assert answer.headers["Location"] == f"https://reg.example:{tls_server.port}/hash?a=%0d%0ab"
        assert answer.read() == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://other.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example/x?\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"no http at all\r\n\r\n",
    ],
)
def test_what_cannot_be_sent_on_to_https_is_refused(tls_server: Server, request_: bytes) -> None:
    answer = Server(tls_server.plain_port, tls_server.process).exchange(request_)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert answer.endswith(b"This port speaks https, not plain http.")


def test_https_is_spoken_on_the_port_of_http_too(tls_server: Server) -> None:
    """A browser that was told to use https alone only changes the scheme."""
    assert Server(tls_server.plain_port, tls_server.process, tls=True).get() == b"ok"


@pytest.mark.parametrize(("version", "is_spoken"), [("TLSv1", 0), ("TLSv1_1", 0), ("TLSv1_2", 1), ("TLSv1_3", 1)])
def test_only_tls_1_2_and_1_3_are_spoken(tls_server: Server, version: str, is_spoken: bool) -> None:
    context = ssl._create_unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # this side would speak all of them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is about the versions that must not be spoken
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with tls_server.raw() as sock:
        if is_spoken:
            with context.wrap_socket(sock) as secured:
                assert str(secured.version()).replace(".", "_") == version
        else:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                context.wrap_socket(sock)


def test_behind_the_proxy_the_client_is_whom_the_proxy_names(tmp_path: Path) -> None:
    """It adds the last entry; what stands before is what the client said of itself."""
    with workspace("web") as directory:
        (directory / "data" / "run").mkdir(parents=True)
        path = directory / "data" / "run" / "web.sock"
        with running(start(directory, "with_proxy = on", "workers = 1")) as process:
            process.wait_until(path.exists)
            for claims, client in (
                ("192.0.2.7", b"192.0.2.7"),
                ("127.0.0.1, 192.0.2.7", b"192.0.2.7"),
                ("192.0.2.9, 127.0.0.1", b"127.0.0.1"),
                ("", b""),
            ):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(10)
                    sock.connect(str(path))
                    sock.sendall(b"GET /address HTTP/1.0\r\nX-Forwarded-For: %s\r\n\r\n" % claims.encode())
                    answer = b""
                    while data := sock.recv(65536):
                        answer += data
                    assert answer.endswith(b"\r\n\r\n" + client), claims


def test_many_pipelined_requests_are_no_depth(server: Server) -> None:
    answer = server.exchange(b"GET /?now HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
    assert answer.count(b"HTTP/1.1 200") == 2000


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    one = b"GET /address?%s HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    answer = server.exchange(one % b"" + two + one % b"now" + one % b"now" + two + one % b"")
    assert answer.count(b"HTTP/1.1 200") == 6
    assert answer.index(b"127.0.0.1") < answer.index(hashlib.sha256(b"ab").hexdigest().encode())


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_two_readings_of_one_request_are_refused(server: Server, framing: bytes) -> None:
    answer = server.exchange(b"POST /hash HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_broken_chunk_reaches_the_application_as_an_error(server: Server) -> None:
    answer = server.exchange(
        b"POST /hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"
    )
    assert hashlib.sha256(b"InvalidChunkSize").hexdigest().encode() in answer
    assert answer.count(b"HTTP/1.1") == 1  # nothing after it is taken for a request


def test_a_client_may_wait_for_leave_to_send(server: Server) -> None:
    with server.raw() as sock:
        sock.sendall(b"PUT /hash HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"ab")
        assert hashlib.sha256(b"ab").hexdigest().encode() in sock.recv(1000)


def test_a_client_that_speaks_tls_to_a_plain_port_is_told_at_once(server: Server) -> None:
    """Docker tries https first: without an answer it waits for ten seconds before it turns to http."""
    with server.raw() as sock, pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        ssl._create_unverified_context().wrap_socket(sock)
    assert server.get() == b"ok"


def test_an_endless_head_is_refused(server: Server) -> None:
    assert server.exchange(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("path", [b"/fails", b"/fails?now"])
def test_an_error_of_the_application_is_a_500(server: Server, path: bytes) -> None:
    assert server.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 500")
    assert server.get() == b"ok"


def test_it_stops_in_time_with_uploads_and_downloads_open(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, f"http_port = {port}", "workers = 1")
    process.wait_until(lambda: listens(port))
    server = Server(port, process)
    with server.raw() as upload, server.raw() as download, server.raw() as finishing:
        upload.sendall(b"PATCH /hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        download.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
        finishing.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        process.stop(seconds=10)
        assert finishing.recv(1000).endswith(b"slow")
