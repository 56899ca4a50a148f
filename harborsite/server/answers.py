"""What the server says by itself, where no application is asked; the connection closes with it."""

from __future__ import annotations

import re
from typing import Final


def _answer(status: str, text: str = "", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "Connection: close", *headers, f"Content-Length: {len(text)}"]
    if text:
        head.append("Content-Type: text/plain")
    return "\r\n".join([*head, "", text]).encode("latin-1")


HEAD_TOO_LARGE: Final = _answer("431 Request Header Fields Too Large")
HTTP_ONLY: Final = _answer("400 Bad Request", "This port speaks plain http, not https.")
HTTPS_ONLY: Final = _answer("400 Bad Request", "This port speaks https, not plain http.")
_REQUEST: Final = re.compile(rb"[A-Z]{1,20} (/[!-~]*) HTTP/1\.[01]\r\n")
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d+)?[ \t]*\r\n", re.IGNORECASE)


def https_instead(head: bytes, port: int) -> bytes:
    """To a request that came by http: the same by https, at the name that the client knows."""
    request, host = _REQUEST.match(head), _HOST.search(head)
    if request is None or host is None:
        return HTTPS_ONLY
    place = host[1].decode() + ("" if port == 443 else f":{port}")
    return _answer("308 Permanent Redirect", "", f"Location: https://{place}{request[1].decode()}")
