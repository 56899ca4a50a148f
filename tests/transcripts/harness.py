"""Playing recorded conversations with Harbor 2.16 against a server: HTTP client, variables, comparison.

A transcript is one JSON file: a named scenario with an ordered list of steps and, for each step, what Harbor 2.16
answered. An expected `${name}` is a captured variable, `${int}`, `${uuid}` and `${any}` are patterns; `volatile`
pointers must only agree in type and shape; extra keys and headers are no difference.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import http.server
import json
import re
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

REQUEST_TIMEOUT = 10.0  # seconds for one HTTP request
POLL_INTERVAL = 1.0  # seconds between two tries of a polled step

#: Response headers that carry meaning for clients; all others are ignored.
MEANINGFUL_HEADERS = (
    "Content-Type",
    "Location",
    "Link",
    "X-Total-Count",
    "WWW-Authenticate",
    "Docker-Content-Digest",
    "Docker-Distribution-Api-Version",
    "ETag",
    "Allow",
    "OCI-Subject",
    "OCI-Filters-Applied",
    "Range",
    "Content-Disposition",
)

#: Placeholders usable in expected strings, besides captured variables.
PATTERNS = {
    "int": r"-?\d+",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "any": r".*",
}

#: Volatile strings that have one of these shapes must keep the same shape.
SHAPES = {
    "date-time with milliseconds": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "date-time with seconds": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "uuid": re.compile(PATTERNS["uuid"]),
    "digest": re.compile(r"sha256:[0-9a-f]{64}"),
}

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Unresolved(Exception):
    """A step needs a variable that no earlier step captured."""


# --------------------------------------------------------------------------- variables


def expand(value: Any, variables: dict[str, Any]) -> Any:
    """Replace ``${name}`` in every string of *value*.

    A string that consists of one variable only takes the variable's own type, so
    ``"${project_id}"`` becomes a number.
    """
    if isinstance(value, str):
        whole = _VARIABLE.fullmatch(value)
        if whole:
            return _lookup(whole.group(1), variables)
        return _VARIABLE.sub(lambda m: str(_lookup(m.group(1), variables)), value)
    if isinstance(value, dict):
        return {expand(k, variables): expand(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [expand(v, variables) for v in value]
    return value


def _lookup(name: str, variables: dict[str, Any]) -> Any:
    if name not in variables:
        raise Unresolved(name)
    return variables[name]


def resolve_pointer(document: Any, pointer: str) -> Any:
    """Value at an RFC 6901 JSON pointer; KeyError when there is none."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if (
            isinstance(document, list)
            and re.fullmatch(r"-?\d+", token)
            and -len(document) <= int(token) < len(document)
        ):
            document = document[int(token)]
        elif isinstance(document, dict) and token in document:
            document = document[token]
        else:
            raise KeyError(pointer)
    return document


def escape_token(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def pointer_matches(pointer: str, patterns: list[str]) -> bool:
    """Whether *pointer* equals one of *patterns*; ``*`` stands for any one token."""
    tokens = pointer.split("/")
    for pattern in patterns:
        wanted = pattern.split("/")
        if len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=False)):
            return True
    return False


# --------------------------------------------------------------------------- stub service

#: What the stub answers when it is asked for the description of a scanner.
SCANNER_METADATA = {
    "scanner": {"name": "Stub", "vendor": "Scenario", "version": "1.0"},
    "capabilities": [
        {
            "type": "vulnerability",
            "consumes_mime_types": [
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ],
            "produces_mime_types": ["application/vnd.security.vulnerability.report; version=1.1"],
        }
    ],
    "properties": {"harbor.scanner-adapter/scanner-type": "os-package-vulnerability"},
}


class _StubHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path.endswith("/api/v1/metadata")
        body = json.dumps(SCANNER_METADATA if known else {"error": {"message": "not found"}}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/vnd.scanner.adapter.metadata+json; version=1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@functools.cache
def stub_url() -> str:
    """Address of a small loopback service: a scanner that only describes itself."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _StubHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


# --------------------------------------------------------------------------- HTTP


@dataclass
class Response:
    status: int
    headers: dict[str, str]  # lower-case name -> value, repeated ones joined by ", "
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Decoded body; ValueError when it is not JSON."""
        return json.loads(self.body)

    def is_json(self) -> bool:
        if "json" not in self.headers.get("content-type", "") or not self.body:
            return False
        try:
            self.json()
        except ValueError:
            return False
        return True


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Session:
    """Runs the steps of one scenario against one server."""

    def __init__(
        self, base_url: str, admin: tuple[str, str], identities: dict[str, Any] | None = None, prefix: str | None = None
    ) -> None:
        self.base = base_url.rstrip("/")
        self.url = urllib.parse.urlsplit(self.base)
        self.identities = identities or {}
        self.admin = admin
        self.jars: dict[str, dict[str, str]] = {}
        self.variables: dict[str, Any] = {
            # "dt" sorts after "admin" and before "library", wherever the run happens
            "p": prefix or "dt" + secrets.token_hex(4),
            "base": self.base,
            "host": self.url.netloc,
            "stub": stub_url(),
            "admin_user": admin[0],
            "admin_password": admin[1],
        }

    # -- building a request

    def _authorization(self, who: str) -> tuple[str | None, bool]:
        """Authorization header of an identity and whether it keeps cookies."""
        if who == "anonymous":
            return None, False
        if who == "admin":
            return basic(*self.admin), False
        if who not in self.identities:
            raise Unresolved(f"identity {who}")
        identity = expand(self.identities[who], self.variables)
        header = None
        if "bearer" in identity:
            header = f"Bearer {identity['bearer']}"
        elif "username" in identity:
            header = basic(str(identity["username"]), str(identity["password"]))
        return header, bool(identity.get("cookies"))

    def _target(self, step: dict[str, Any]) -> str:
        path = str(expand(step["path"], self.variables))
        if path.startswith(("http://", "https://")):  # a Location given by the server
            parts = urllib.parse.urlsplit(path)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        query = expand(step.get("query") or {}, self.variables)
        if query:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query, doseq=True)
        return path

    def _body(self, step: dict[str, Any], headers: dict[str, str]) -> bytes | None:
        if "json" in step:
            headers.setdefault("Content-Type", "application/json")
            return json.dumps(expand(step["json"], self.variables)).encode()
        if "form" in step:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return urllib.parse.urlencode(expand(step["form"], self.variables)).encode()
        if "raw" in step:
            return str(expand(step["raw"], self.variables)).encode()
        if "raw_b64" in step:
            return base64.b64decode(step["raw_b64"])
        return b"" if step["method"] in ("POST", "PUT", "PATCH") else None

    # -- running

    def request(self, step: dict[str, Any]) -> Response:
        """Send the step's request once.  Redirects are not followed."""
        who = step.get("as", "admin")
        headers = {k: str(v) for k, v in expand(step.get("headers") or {}, self.variables).items()}
        authorization, keeps_cookies = self._authorization(who)
        if authorization:
            headers.setdefault("Authorization", authorization)
        jar = self.jars.setdefault(who, {}) if keeps_cookies else {}
        if jar:
            headers.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in jar.items()))
        body = self._body(step, headers)
        target = self._target(step)

        connection = http.client.HTTPConnection(self.url.hostname or "", self.url.port, timeout=REQUEST_TIMEOUT)
        try:
            connection.request(step["method"], target, body=body, headers=headers)
            raw = connection.getresponse()
            content = raw.read()
        finally:
            connection.close()
        response = Response(raw.status, {}, content, raw.headers.get_all("Set-Cookie") or [])
        for name, value in raw.getheaders():
            name = name.lower()
            known = response.headers.get(name)
            response.headers[name] = value if known is None else f"{known}, {value}"
        if keeps_cookies:
            for cookie in response.cookies:
                name, _, value = cookie.split(";", 1)[0].partition("=")
                jar[name.strip()] = value.strip()
        return response

    def run(self, step: dict[str, Any]) -> Response:
        """Send the request; a step with ``poll`` is repeated until it holds or time is up."""
        if step.get("pause"):
            time.sleep(float(step["pause"]))
        poll = step.get("poll")
        if not poll:
            return self.request(step)
        deadline = time.monotonic() + float(poll.get("timeout", 45))
        while True:
            response = self.request(step)
            try:
                reached = resolve_pointer(response.json(), poll["pointer"])
                if "values" not in poll or reached in poll["values"]:
                    return response
            except (KeyError, ValueError):
                pass
            if time.monotonic() >= deadline:
                return response
            time.sleep(POLL_INTERVAL)

    def capture(self, step: dict[str, Any], response: Response) -> list[str]:
        """Store the step's variables; returns the names that could not be captured."""
        missing = []
        for name, source in (step.get("capture") or {}).items():
            try:
                self.variables[name] = self._captured(source, response)
            except (KeyError, ValueError):
                missing.append(name)
        return missing

    def _captured(self, source: str, response: Response) -> Any:
        if source == "" or source.startswith("/"):
            return resolve_pointer(response.json(), source)
        header, _, pattern = source.partition(": ")
        found = re.search(pattern, response.headers[header.lower()])
        if not found:
            raise KeyError(source)
        value = found.group(1)
        return int(value) if value.isdigit() else value


# --------------------------------------------------------------------------- JSON web tokens


def decode_jwt(token: str) -> dict[str, Any]:
    """Header and claims of a token, without checking the signature."""

    def part(text: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    head, claims, _ = token.split(".")
    return {"header": part(head), "claims": part(claims)}


def decoded_body(step: dict[str, Any], response: Response) -> Any:
    """JSON body; with ``jwt`` in the step the decoded token is added as ``$jwt``."""
    body = response.json()
    if step.get("jwt") and isinstance(body, dict):
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            body["$jwt"] = decode_jwt(resolve_pointer(body, step["jwt"]))
    return body


# --------------------------------------------------------------------------- comparison


def type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names[type(value)]


def brief(value: Any, limit: int = 160) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def string_matches(expected: str, actual: str, variables: dict[str, Any]) -> bool:
    """Compare after filling in variables; ``${int}``, ``${uuid}``, ``${any}`` are patterns."""
    pattern, position = "", 0
    for found in _VARIABLE.finditer(expected):
        pattern += re.escape(expected[position : found.start()])
        name = found.group(1)
        pattern += PATTERNS[name] if name in PATTERNS else re.escape(str(_lookup(name, variables)))
        position = found.end()
    pattern += re.escape(expected[position:])
    return re.fullmatch(pattern, actual, re.DOTALL) is not None


class Comparison:
    """Collects the differences (failures) and warnings of one step."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        self.differences: list[str] = []
        self.warnings: list[str] = []

    def step(self, step: dict[str, Any], response: Response) -> None:
        expect = step["expect"]
        if expect["status"] >= 500:  # a defect of the recorded server: any error will do
            if response.status < 400:
                self.differences.append(f"status differs: expected an error, got {response.status}")
            return
        if response.status != expect["status"]:
            self.differences.append(
                f"status differs: expected {expect['status']}, got {response.status} (body {brief(response.text, 200)})"
            )
        self.headers(expect.get("headers", {}), response)
        self.body(step, response)

    def headers(self, expected: dict[str, str], response: Response) -> None:
        for name, value in expected.items():
            actual = response.headers.get(name.lower())
            if actual is None:
                self.differences.append(f"header missing: {name} (expected {value!r})")
            elif name == "Content-Type":
                if actual.replace(" ", "").lower() != value.replace(" ", "").lower():
                    self.differences.append(f"header differs: {name}: expected {value!r}, got {actual!r}")
            elif not self._header_matches(value, actual):
                self.differences.append(f"header differs: {name}: expected {self._filled(value)!r}, got {actual!r}")
        known = {name.lower() for name in expected}
        for name in MEANINGFUL_HEADERS:
            if name.lower() in response.headers and name.lower() not in known:
                self.warnings.append(f"extra header: {name}: {response.headers[name.lower()]!r}")

    def _header_matches(self, expected: str, actual: str) -> bool:
        try:
            return string_matches(expected, actual, self.variables)
        except Unresolved:
            return False

    def _filled(self, text: str) -> str:
        return _VARIABLE.sub(lambda m: str(self.variables.get(m.group(1), m.group(0))), text)

    def body(self, step: dict[str, Any], response: Response) -> None:
        expect = step["expect"]
        mode = expect.get("mode", "exact")
        if mode == "status":
            return
        if "body_text" in expect:
            wanted = expect["body_text"]
            if not self._header_matches(wanted, response.text):
                self.differences.append(
                    f"body differs: expected {brief(self._filled(wanted))}, got {brief(response.text)}"
                )
            return
        if "body" not in expect:
            return
        try:
            actual = decoded_body(step, response)
        except ValueError:
            self.differences.append(f"body is not JSON: {brief(response.text)}")
            return
        if mode == "shape":
            self._shape(expect["body"], actual, "")
        else:
            self._value(expect["body"], actual, "", expect.get("volatile", []), expect.get("unordered", []))

    def _value(self, expected: Any, actual: Any, at: str, volatile: list[str], unordered: list[str]) -> None:
        where = at or "(root)"
        if pointer_matches(at, volatile) and not self._is_reference(expected):
            self._same_type(expected, actual, where)
            return
        if isinstance(expected, str) and "${" in expected:
            self._templated(expected, actual, where)
            return
        if type_name(expected) != type_name(actual):
            self.differences.append(
                f"type differs: {where}: expected {type_name(expected)} {brief(expected)}, "
                f"got {type_name(actual)} {brief(actual)}"
            )
        elif isinstance(expected, dict):
            for key, value in expected.items():
                inner = f"{at}/{escape_token(key)}"
                if key not in actual:
                    self.differences.append(f"key missing: {inner} (expected {brief(value)})")
                elif re.fullmatch(r"/errors/\d+/message", inner):
                    if not isinstance(actual[key], str) or (value and not actual[key]):
                        self.differences.append(
                            f"value differs: {inner}: expected some message, got {brief(actual[key])}"
                        )
                else:
                    self._value(value, actual[key], inner, volatile, unordered)
            for key in actual:
                if key not in expected:
                    self.warnings.append(f"extra key: {at}/{escape_token(key)} = {brief(actual[key], 80)}")
        elif isinstance(expected, list):
            if len(expected) != len(actual):
                self.differences.append(
                    f"value differs: {where}: expected {len(expected)} elements, got {len(actual)}: {brief(actual)}"
                )
            if pointer_matches(at, unordered):
                expected, actual = self._sorted(expected), self._sorted(actual)
            for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
                self._value(one, other, f"{at}/{index}", volatile, unordered)
        elif expected != actual:
            self.differences.append(f"value differs: {where}: expected {brief(expected)}, got {brief(actual)}")

    def _sorted(self, values: list[Any]) -> list[Any]:
        def key(value: Any) -> str:
            with contextlib.suppress(Unresolved):  # holds a pattern
                value = expand(value, self.variables)
            return json.dumps(value, sort_keys=True)

        return sorted(values, key=key)

    @staticmethod
    def _is_reference(expected: Any) -> bool:
        """Whether the value is exactly one captured variable, such as the id of something created."""
        whole = _VARIABLE.fullmatch(expected) if isinstance(expected, str) else None
        return whole is not None and whole.group(1) not in PATTERNS

    def _templated(self, expected: str, actual: Any, where: str) -> None:
        try:
            if self._is_reference(expected):
                same = expand(expected, self.variables) == actual
            else:
                same = isinstance(actual, str) and string_matches(expected, actual, self.variables)
        except Unresolved as error:
            self.differences.append(f"value differs: {where}: expected variable {error} was never captured")
            return
        if not same:
            self.differences.append(f"value differs: {where}: expected {self._filled(expected)!r}, got {brief(actual)}")

    def _same_type(self, expected: Any, actual: Any, where: str) -> None:
        if type_name(expected) != type_name(actual):
            self.differences.append(
                f"type differs: {where}: expected {type_name(expected)}, got {type_name(actual)} {brief(actual)}"
            )
        elif isinstance(expected, str):
            for shape, pattern in SHAPES.items():
                if pattern.fullmatch(expected) and not pattern.fullmatch(actual):
                    self.differences.append(f"value differs: {where}: expected a {shape}, got {brief(actual)}")

    def _shape(self, expected: Any, actual: Any, at: str) -> None:
        where = at or "(root)"
        if expected is None:
            return
        if type_name(expected) != type_name(actual):
            self.differences.append(
                f"type differs: {where}: expected {type_name(expected)}, got {type_name(actual)} {brief(actual)}"
            )
        elif isinstance(expected, dict):
            for key, value in expected.items():
                if key not in actual:
                    self.differences.append(f"key missing: {at}/{escape_token(key)}")
                else:
                    self._shape(value, actual[key], f"{at}/{escape_token(key)}")
        elif isinstance(expected, list) and expected:
            for index, value in enumerate(actual):
                self._shape(expected[0], value, f"{at}/{index}")


# --------------------------------------------------------------------------- running a scenario


def play(
    scenario: dict[str, Any], session: Session, visit: Callable[[dict[str, Any], Response | None, str | None], None]
) -> None:
    """Run all steps in order and hand each outcome to *visit*(step, response, problem)."""
    for step in scenario["steps"]:
        try:
            response = session.run(step)
        except Unresolved as missing:
            visit(step, None, f"not reached: needs {missing}")
            continue
        except (OSError, http.client.HTTPException) as error:
            visit(step, None, f"no answer: {type(error).__name__}: {error}")
            continue
        missing_captures = session.capture(step, response)
        visit(step, response, f"nothing to capture for {', '.join(missing_captures)}" if missing_captures else None)
