"""The web worker: gunicorn's threaded worker, without the threads that slow clients would hold.

gunicorn's worker gives a connection to a thread from its first byte to the last byte of the response. Here the
event loop collects request heads and drains responses, so a thread is held only while the application runs or a
request body arrives. Request parsing, keep-alive, TLS set-up and graceful stop stay gunicorn's.
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from enum import Enum
from typing import Any, Final

from gunicorn import sock as gunicorn_sock
from gunicorn.http import get_parser, wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn, ThreadWorker

from harborsite.server import answers
from harborsite.server.balance import Board, Turn
from harborsite.server.body import RequestBody, request_body
from harborsite.server.outbox import FILE_STEP, Outbox

HEAD_TIMEOUT: Final = 20.0  # for a request's head, from its first byte, and for a TLS handshake
BODY_TIMEOUT: Final = 60.0  # between two pieces of a request's body
DRAIN_TIMEOUT: Final = 300.0  # without a byte of the response taken
LINGER: Final = 2.0  # for the client to read an answer after which the connection closes
HEAD_STEP: Final = 64 * 1024
HEAD_LIMIT: Final = 64 * 1024
TLS_HANDSHAKE: Final = b"\x16"  # the first byte of a client that speaks TLS
HIGH_WATER: Final = 256 * 1024  # bytes of a response produced ahead of the client
HEAD_END: Final = b"\r\n\r\n"
SMALL_BODY: Final = 64 * 1024  # collected with the head
MAPPED: Final = "::ffff:"
SWITCH_INTERVAL: Final = 0.001  # a thread that waits for the interpreter waits 5 ms by default
_BODY: Final = re.compile(rb"\r\n(?:transfer-encoding:|content-length:[ \t]*(\d{1,18}))", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:", re.IGNORECASE)
LEFT_OVER: Final = 64 * 1024  # of a body that the application did not want, read away to keep the connection


class Outcome(Enum):
    """What is to become of a connection."""

    KEEP = "wait for the next request"
    CLOSE = "close it"
    PARKED = "the event loop drains the response"
    DEFERRED = "a thread has to serve the request"


class Exchange:
    """One request and what is left of its response."""

    def __init__(self, req: Any, resp: Any, environ: dict[str, Any], outbox: Outbox) -> None:
        self.req, self.resp, self.environ, self.outbox = req, resp, environ, outbox
        self.started = datetime.now()
        self.result: Any = None
        self.items: Iterator[bytes] = iter(())
        self.complete = False


class Connection(TConn):  # type: ignore[misc]
    """A client's connection; `head` is what came of the next request."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.sock: socket.socket = sock  # a TLS one once the client has begun to speak it
        self.head = bytearray()
        self.head_due = 0.0  # when all of it has to be here
        self.exchange: Exchange | None = None
        self.then: Callable[[Connection], None] | None = None  # what the event loop does when the socket is ready
        self.sends_body = False
        self.in_body_lane = False
        self.handshaking = cfg.is_ssl
        self.wants_https = False  # it speaks http to a server of https, whichever the port
        self.parser = get_parser(cfg, self.sock, client)
        self.initialized = self.data_ready = True

    def receive(self) -> bytes:
        """What has arrived, after the handshake; raises where that means waiting. For the event loop."""
        if self.handshaking:
            self._shake_hands()
        data: bytes = self.sock.recv(HEAD_STEP)
        while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():  # which the selector does not see
            data += self.sock.recv(HEAD_STEP)
        return data

    def _shake_hands(self) -> None:
        """The first byte tells a client that speaks TLS."""
        if not isinstance(self.sock, ssl.SSLSocket):
            if self.sock.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE:
                self.handshaking, self.wants_https = False, True
                return
            self.sock = gunicorn_sock.ssl_wrap_socket(self.sock, self.cfg)
            self.parser = get_parser(self.cfg, self.sock, self.client)
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - it was wrapped
        self.sock.do_handshake()
        self.handshaking = False

    def is_ready(self) -> bool:
        """Whether a thread can start on the request: the head is whole, and so is a small body.

        Only a guess about what the parser will find: it decides who waits for the rest, not what the request is.
        """
        end = self.head.find(HEAD_END)
        if end < 0:
            return False
        length = _BODY.search(self.head, 0, end + 2)
        if length is None or length[1] == b"0":
            return True
        size = int(length[1] or SMALL_BODY + 1)
        self.sends_body = size > SMALL_BODY or _EXPECT.search(self.head, 0, end + 2) is not None
        return self.sends_body or len(self.head) >= end + len(HEAD_END) + size


BOARD: Final = Board()  # made before the processes are forked, and so shared


def _believe_the_proxy(environ: dict[str, Any]) -> None:
    """On the proxy's socket the client is the one it has put last; what stood before is the client's own saying."""
    claimed, _, peer = environ.pop("HTTP_X_FORWARDED_FOR", "").rpartition(",")
    environ["REMOTE_ADDR"] = peer.strip()
    if claimed:
        environ["HTTP_X_FORWARDED_FOR"] = claimed


class Worker(ThreadWorker):  # type: ignore[misc]
    """Runs the application in threads, and everything that waits for a client in the event loop.

    Requests with a body hold a thread while it arrives: they get three quarters of the threads and queue beyond
    that, so that reading always goes on. An application may have an attribute `at_once`, called as itself: it
    answers what takes no waiting (else None), and is asked in the event loop, because handing a request to a thread
    and back takes longer than most such answers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Connection, float] = {}  # on the selector, with the time when patience ends
        self._body_lane = max(1, self.cfg.threads * 3 // 4)
        self._queued: deque[Connection] = deque()
        self._next_sweep = 0.0
        self._at_once: Callable[..., Any] | None = None
        self._turn = Turn(BOARD, self.age)

    def init_process(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.notify()
        BOARD.write(self.age, 0)
        self._at_once = getattr(self.wsgi, "at_once", None)

    def notify(self) -> None:
        """Called by gunicorn's loop in each turn."""
        BOARD.beat(self.age)

    # --- event loop -----------------------------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        if not self._turn.has_come():
            return
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker was faster, or the client gave up
        except OSError:
            self.log.exception("cannot accept a connection; closing the idle ones")
            self._sweep(force=True)
            return
        client.setblocking(False)
        self._count(1)
        if address and address[0].startswith(MAPPED):  # IPv4 on a socket for both
            address = (address[0].removeprefix(MAPPED), address[1])
        try:
            conn = Connection(self.cfg, client, address, listener.getsockname())
        except OSError:  # gone before the handshake
            self._count(-1)
            client.close()
            return
        self._wait(conn, selectors.EVENT_READ, self._on_readable, HEAD_TIMEOUT)

    def _count(self, change: int) -> None:
        self.nr_conns += change
        BOARD.write(self.age, self.nr_conns)

    def _wait(self, conn: Connection, event: int, then: Callable[[Connection], None], seconds: float) -> None:
        if conn in self._waiting and conn.then == then:
            self._waiting[conn] = time.monotonic() + seconds
            return
        if conn in self._waiting:
            self._stop_waiting(conn)
        conn.sock.setblocking(False)
        conn.then = then
        self._waiting[conn] = time.monotonic() + seconds
        self.poller.register(conn.sock, event, lambda _sock: then(conn))

    def _stop_waiting(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._waiting[conn]

    def _on_readable(self, conn: Connection) -> None:
        try:
            data = conn.receive()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:  # ssl.SSLError as well
            data = b""
        if not data:
            self._drop(conn)
            return
        if not conn.head:
            self._waiting[conn] = time.monotonic() + HEAD_TIMEOUT
        if not conn.head:
            conn.head_due = time.monotonic() + HEAD_TIMEOUT
        conn.head += data
        self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        """Serve what has arrived whole, request by request, then wait for more."""
        if conn.wants_https and HEAD_END in conn.head:
            self._refuse(conn, answers.https_instead(bytes(conn.head), self.app.https_port))
            return
        while not conn.wants_https and conn.is_ready():
            outcome = self._start(conn)
            if outcome is not Outcome.KEEP:
                self._settle(conn, outcome)
                return
            self._take_pipelined(conn)
        if len(conn.head) > HEAD_LIMIT + SMALL_BODY:
            self._refuse(conn, answers.HEAD_TOO_LARGE)
        elif conn.head.startswith(TLS_HANDSHAKE) and not self.cfg.is_ssl:
            # Docker tries https first, and falls back at this answer; without one it waits ten seconds each time.
            self._refuse(conn, answers.HTTP_ONLY)
        else:
            patience = conn.head_due - time.monotonic() if conn.head else self.cfg.keepalive
            self._wait(conn, selectors.EVENT_READ, self._on_readable, patience)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        with suppress(OSError):
            conn.sock.send(answer)
        self._linger(conn)

    def _start(self, conn: Connection) -> Outcome:
        """Answer at once, or hand the connection to a thread, or let it queue for one."""
        is_read = conn.head.startswith((b"GET ", b"HEAD "))
        if not conn.sends_body:
            self._feed(conn)
            outcome = self._serve(conn, self._at_once) if self._at_once and is_read else Outcome.DEFERRED
            if outcome is not Outcome.DEFERRED:
                return outcome
        if conn in self._waiting:
            self._stop_waiting(conn)
        if conn.sends_body:
            self._enter_body_lane(conn)
        else:
            self.enqueue_req(conn)
        return Outcome.DEFERRED

    @staticmethod
    def _take_pipelined(conn: Connection) -> None:
        conn.head += conn.parser.unreader.take_buffered()
        conn.head_due = time.monotonic() + HEAD_TIMEOUT

    @staticmethod
    def _feed(conn: Connection) -> None:
        conn.parser.unreader.unread(bytes(conn.head))
        conn.head.clear()

    def _enter_body_lane(self, conn: Connection) -> None:
        if self._body_lane == 0:
            self._queued.append(conn)
            return
        self._body_lane -= 1
        conn.in_body_lane, conn.sends_body = True, False
        self._feed(conn)
        self.enqueue_req(conn)

    def _leave_body_lane(self, conn: Connection) -> None:
        if conn.in_body_lane:
            conn.in_body_lane = False
            self._body_lane += 1
            if self._queued:
                self._enter_body_lane(self._queued.popleft())

    def finish_request(self, conn: Connection, fs: Future[Outcome]) -> None:
        """A thread is done with the connection."""
        self._leave_body_lane(conn)
        self._settle(conn, fs.result() if fs.exception() is None else Outcome.CLOSE)

    def _settle(self, conn: Connection, outcome: Outcome) -> None:
        match outcome:
            case Outcome.PARKED:
                self._wait(conn, selectors.EVENT_WRITE, self._on_writable, DRAIN_TIMEOUT)
            case Outcome.KEEP:
                self._take_pipelined(conn)
                self._go_on(conn)
            case Outcome.CLOSE:
                self._linger(conn)
            case Outcome.DEFERRED:
                pass  # a thread has it, or it queues for one

    def _linger(self, conn: Connection) -> None:
        """Close once the client has read the answer: closing on unread input would reset the connection."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
        else:
            self._wait(conn, selectors.EVENT_READ, self._on_lingering, LINGER)

    def _on_lingering(self, conn: Connection) -> None:
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            if not self._discard(conn):
                self._drop(conn)

    @staticmethod
    def _discard(conn: Connection) -> bytes:
        try:
            return bytes(conn.sock.recv(HEAD_STEP))
        except (BlockingIOError, ssl.SSLWantReadError):
            raise
        except OSError:
            return b""

    def _on_writable(self, conn: Connection) -> None:
        assert conn.exchange is not None  # noqa: S101 - only parked connections wait for this
        try:
            drained = conn.exchange.outbox.flush(FILE_STEP)
        except OSError:
            drained = True  # the thread meets the same error, and ends the exchange
        if drained:
            self._stop_waiting(conn)
            self.enqueue_req(conn)
        else:
            self._waiting[conn] = time.monotonic() + DRAIN_TIMEOUT

    def _drop(self, conn: Connection) -> None:
        if conn in self._waiting:
            self._stop_waiting(conn)
        self._count(-1)
        if conn.exchange is not None:
            self._end(conn)
        conn.close()

    def _sweep(self, force: bool = False) -> None:
        """Close the connections whose time is up; with `force` all that wait for a request."""
        now = time.monotonic()
        if now < self._next_sweep and not force:
            return
        self._next_sweep = now + 1
        for conn, deadline in list(self._waiting.items()):
            if deadline < now or (force and conn.exchange is None):
                self._drop(conn)

    # The names under which gunicorn's loop asks for it.

    def murder_keepalived(self, force: bool = False) -> None:
        self._sweep(force)

    def murder_pending(self) -> None:
        """All waiting connections are in one place here."""

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self._waiting:
            if conn.exchange is None:
                self._waiting[conn] = min(self._waiting[conn], deadline)

    # --- threads --------------------------------------------------------------------------------------------

    def handle(self, conn: Connection) -> Outcome:
        """Answer the next request, or go on with a response that the client has read so far."""
        conn.sock.settimeout(BODY_TIMEOUT)
        return self._serve(conn, self.wsgi)

    # --- both -----------------------------------------------------------------------------------------------

    def _serve(self, conn: Connection, application: Callable[..., Any]) -> Outcome:
        try:
            if conn.exchange is None:
                conn.exchange = self._open(conn, next(conn.parser))
            if conn.exchange.result is None and not self._run(conn.exchange, application):
                return Outcome.DEFERRED
            return self._pump(conn, FILE_STEP if application is self._at_once else None)
        except (ConnectionError, TimeoutError, NoMoreData, ssl.SSLError, StopIteration):
            self.log.debug("the client left")
            self._end(conn)
        except Exception as error:
            req = conn.exchange.req if conn.exchange else None
            self.handle_error(req, conn.sock, conn.client, error)
            self._end(conn, log=False)  # that was done with the error
        return Outcome.CLOSE

    def _open(self, conn: Connection, req: Any) -> Exchange:
        outbox = Outbox(conn.sock)
        body = request_body(req, conn.sock, conn.parser.unreader)
        req.body = body or req.body
        resp, environ = wsgi.create(req, outbox, conn.client, conn.server, self.cfg)
        environ["wsgi.multithread"] = True
        if isinstance(conn.server, str):
            _believe_the_proxy(environ)
        if not self.alive:
            resp.force_close()
        if self.app.observer is not None:
            self.app.observer.began()
        return Exchange(req, resp, environ, outbox)

    @staticmethod
    def _run(exchange: Exchange, application: Callable[..., Any]) -> bool:
        """Call the application; False if it does not answer at once."""
        exchange.result = application(exchange.environ, exchange.resp.start_response)
        if exchange.result is None:
            return False
        exchange.items = iter(exchange.result)
        return True

    def _pump(self, conn: Connection, limit: int | None) -> Outcome:
        """Produce the response as far as the client reads it, and send about `limit` bytes of it."""
        exchange = conn.exchange
        assert exchange is not None  # noqa: S101 - it was opened
        try:
            if not (exchange.complete or self._produce(exchange)) or not exchange.outbox.flush(limit):
                return Outcome.PARKED
        except (ConnectionError, TimeoutError, ssl.SSLError):
            raise
        except Exception:
            if not exchange.resp.headers_sent:
                raise
            self.log.warning("response cut off", exc_info=True)  # a second status line would corrupt it
            raise ConnectionAbortedError from None
        self._end(conn)
        return Outcome.KEEP if not exchange.resp.should_close() and self._drained(conn, exchange) else Outcome.CLOSE

    @staticmethod
    def _drained(conn: Connection, exchange: Exchange) -> bool:
        """Whether the next request's start is known: what the application left of the body is read away."""
        body = exchange.req.body
        if not isinstance(body, RequestBody):
            return True  # there was none
        conn.sock.settimeout(LINGER)
        if not body.finish(LEFT_OVER):
            return False
        conn.sock.setblocking(False)
        conn.parser.unreader.unread(body.raw.rest())
        return True

    @staticmethod
    def _produce(exchange: Exchange) -> bool:
        """Fill the outbox; False when the client is to read first."""
        resp, outbox = exchange.resp, exchange.outbox
        is_file = isinstance(exchange.result, wsgi.FileWrapper) and not resp.headers_sent
        if not (is_file and resp.sendfile(exchange.result)):
            for item in exchange.items:
                resp.write(item)
                if outbox.size >= HIGH_WATER and not outbox.flush():
                    return False
        resp.close()
        exchange.complete = True
        return True

    def _end(self, conn: Connection, *, log: bool = True) -> None:
        exchange, conn.exchange = conn.exchange, None
        if exchange is None:
            return
        try:
            if hasattr(exchange.result, "close"):
                exchange.result.close()
        finally:
            took = datetime.now() - exchange.started
            if log:
                self.log.access(exchange.resp, exchange.req, exchange.environ, took)
            if self.app.observer is not None:
                self.app.observer.answered(exchange.environ, str(exchange.resp.status or ""), took.total_seconds())
