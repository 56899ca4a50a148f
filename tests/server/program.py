"""A small WSGI program under the product's web server, for tests of the server alone: `python -m … harbor.cfg SECONDS`.

For so long a process leaves a connection to those that have fewer.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harborsite import config as boot
from harborsite.server import balance, web
from harborsite.server.supervisor import Supervisor

PIECE = bytes(range(256)) * 1024
PIECES = 40


def pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    body: Iterable[bytes]
    if path == "/file":
        file = Path("whole").open("rb")  # noqa: SIM115 - the server closes it
        body, length = environ["wsgi.file_wrapper"](file), len(PIECE) * PIECES
    elif path == "/pieces":
        start_response("200 OK", [])
        return pieces()
    elif path == "/hash":
        digest = hashlib.sha256()
        try:
            while data := environ["wsgi.input"].read(1 << 20):
                digest.update(data)
        except Exception as error:
            digest = hashlib.sha256(type(error).__name__.encode())
        body, length = [digest.hexdigest().encode()], 64
    elif path == "/slow":
        time.sleep(1)
        body, length = [b"slow"], 4
    elif path == "/address":
        text = environ["REMOTE_ADDR"].encode()
        body, length = [text], len(text)
    elif path == "/process":
        text = str(os.getpid()).encode()
        body, length = [text], len(text)
    elif path == "/fails":
        raise RuntimeError("as asked")
    else:
        body, length = [b"ok"], 2
    start_response("200 OK", [("Content-Length", str(length))])
    return body


def at_once(environ: dict[str, Any], start_response: Any) -> Iterable[bytes] | None:
    """Some of it, as an application may: the paths with a query `now`."""
    return application(environ, start_response) if environ["QUERY_STRING"] == "now" else None


application.at_once = at_once  # type: ignore[attr-defined]


if __name__ == "__main__":
    Path("whole").write_bytes(PIECE * PIECES)
    CONFIG = boot.load(Path(sys.argv[1]), {})
    balance.PATIENCE = float(sys.argv[2])  # type: ignore[misc]
    SERVED = web.Web(config=CONFIG, application=application, listeners=web.listen(CONFIG))
    Supervisor(SERVED.children, chore=SERVED.watch).run()
