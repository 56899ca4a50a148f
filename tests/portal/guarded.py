"""What pages that try a connection are tested with: a server on loopback that wants credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.test_outbound import LOOPBACK, Server, allow, page

SECRET = "canary-77ab"
CREDENTIALS = "Basic cm9ib3Q6Y2FuYXJ5LTc3YWI="  # robot and SECRET


@contextmanager
def guarded(monkeypatch: pytest.MonkeyPatch, path: str, body: bytes = b"{}", **headers: Any) -> Iterator[Server]:
    """It answers at `path` with `body`, by status 401 unless it is robot who asks, and remembers what it was asked."""
    allow(monkeypatch, *LOOPBACK)
    server = Server()

    def answer(request: Any) -> None:
        known = request.headers.get("Authorization") == CREDENTIALS
        page(body, status=200 if known else 401, **headers)(request)

    server.pages[path] = answer
    server.start()
    yield server
    server.stop()
