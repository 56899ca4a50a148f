"""An address that webhooks are sent to, on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Is told of events, and answers with what the test wants, after `delay` seconds."""

    def __init__(self) -> None:
        self.status, self.delay = 200, 0.0
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.busy = self.busiest = 0
        self._lock = threading.Lock()
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer._lock:
                    outer.got.append((dict(self.headers), body))
                    outer.busy += 1
                    outer.busiest = max(outer.busy, outer.busiest)
                time.sleep(outer.delay)
                with outer._lock:
                    outer.busy -= 1
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *details: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def json(self) -> Any:
        return json.loads(self.got[-1][1])

    def all(self, event: str) -> list[Any]:
        """What was said of this kind of event, in Harbor's own form."""
        told = [json.loads(body) for _, body in list(self.got)]
        return [each for each in told if each["type"] == event]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
