"""The short way of the requests that a registry answers all day: reading manifests, blobs and tag lists by token.

It stands in front of Django and calls the services that the views call; what it saves is the middleware and DRF,
which cost more than the answer. Whatever is not plain (another method or credential, a condition, a range, a
refusal, an error, a default project) it leaves to the views, so that there is one place where each thing is
decided. A test compares both ways, header by header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper

from django.db import DatabaseError, connection

from harborsite.api.middleware import request_id
from harborsite.errors import AppError
from projects.models import Project
from projects.models.project import project_named
from registry.auth import tokens
from registry.auth.scopes import PULL, PUSH
from registry.auth.tokens import TokenPrincipal
from registry.oci.digest import Digest, DigestError
from registry.oci.grammar import GrammarError, is_repository_name, parse_reference
from registry.services import blobs, manifests, pulls, tags
from registry.storage import StorageError, store
from registry.v2 import accel
from registry.v2.base import API_VERSION, next_page
from registry.v2.views.manifests import is_acceptable

_PATH: Final = re.compile(r"/v2/([a-z0-9._/-]+)/(manifests|blobs|tags)/([A-Za-z0-9._:+-]+)")
_LIMIT: Final = re.compile(r"n=([1-9]\d{0,3})")
_CONDITIONS: Final = ("HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
_IN_MEMORY: Final = 64 * 1024  # a blob up to this size goes out with its head, in one system call
_STEP: Final = 256 * 1024

Headers = list[tuple[str, str]]
Answer = tuple[Headers, Iterable[bytes]]


class HotPath:
    """A WSGI application that answers what it can and hands the rest to the one behind it."""

    def __init__(self, application: WSGIApplication, constant_headers: Headers) -> None:
        self._application = application
        self._constant = [("Docker-Distribution-Api-Version", API_VERSION), *constant_headers]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self.at_once(environ, start_response)
        return self._application(environ, start_response) if answer is None else answer

    def at_once(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes] | None:
        """The answer to what is plain, else None; reads a few rows and opens a file, nothing more."""
        answer = plain_answer(environ)
        if answer is None:
            return None
        headers, body = answer
        given = environ.get("HTTP_X_REQUEST_ID", "")
        start_response("200 OK", [*headers, *self._constant, ("X-Request-Id", request_id(given))])
        return body


def plain_answer(environ: WSGIEnvironment) -> Answer | None:
    """Headers and body of a 200, or None where the views are to answer."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or any(name in environ for name in _CONDITIONS):
        return None
    path = _PATH.fullmatch(environ["PATH_INFO"])
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if path is None or scheme != "Bearer":
        return None
    name, kind, reference = path.groups()
    holder = tokens.verify(token)
    if holder is None or "/" not in name or not is_repository_name(name):
        return None
    try:
        project = project_named(name.partition("/")[0])
        if project is None or not holder.may(PULL, project):
            return None
        return _ANSWERS[kind](environ, name, reference, holder, project)
    except (AppError, GrammarError, DigestError, StorageError):
        return None
    except DatabaseError:
        connection.close_if_unusable_or_obsolete()  # Django's way meets it again, and says so
        return None


def _manifest(
    environ: WSGIEnvironment, name: str, reference: str, holder: TokenPrincipal, project: Project
) -> Answer | None:
    wanted = parse_reference(reference)
    stored = manifests.find(repository_name=name, reference=wanted)
    if stored.asks_for_signature or not is_acceptable(environ.get("HTTP_ACCEPT", ""), stored.media_type):
        return None
    headers = [
        ("Docker-Content-Digest", stored.digest),
        ("ETag", f'"{stored.digest}"'),
        ("Content-Type", stored.media_type),
        ("Content-Length", str(len(stored.raw))),
    ]
    if environ["REQUEST_METHOD"] == "HEAD":
        return headers, ()
    pulls.note(
        repository_id=stored.repository_id,
        repository_name=name,
        project_id=stored.project_id,
        artifact_id=stored.artifact_id,
        digest=stored.digest,
        tag_id=stored.tag_id,
        tag="" if isinstance(wanted, Digest) else wanted,
        username=holder.username,
    )
    return headers, (stored.raw,)


def _blob(
    environ: WSGIEnvironment, name: str, reference: str, holder: TokenPrincipal, project: Project
) -> Answer | None:
    is_head = environ["REQUEST_METHOD"] == "HEAD"
    if is_head and holder.may(PUSH, project):
        return None  # a pusher's question keeps the blob from garbage collection
    digest = Digest.parse(reference)
    held = blobs.find(repository_name=name, digest=digest)
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Docker-Content-Digest", reference),
        ("ETag", f'"{reference}"'),
        ("Accept-Ranges", "bytes"),
        ("Content-Length", str(held.size)),
    ]
    if is_head:
        return headers, ()
    if store().url(digest) is not None:
        return None
    if there := accel.place(digest, held.size):
        return [*headers[:-1], ("Content-Length", "0"), (accel.HEADER, there)], ()
    file = store().open(digest)
    if held.size <= _IN_MEMORY:
        with file:
            return headers, (file.read(),)
    wrapper: Callable[..., Iterable[bytes]] = environ.get("wsgi.file_wrapper", FileWrapper)
    return headers, wrapper(file, _STEP)


def _tags(
    environ: WSGIEnvironment, name: str, reference: str, holder: TokenPrincipal, project: Project
) -> Answer | None:
    limit = _LIMIT.fullmatch(environ.get("QUERY_STRING", ""))
    if reference != "list" or limit is None:
        return None
    names, more = tags.names(repository_name=name, last="", limit=int(limit[1]))
    content = json.dumps({"name": name, "tags": names}, ensure_ascii=False, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(content)))]
    if more:
        headers.append(("Link", next_page(environ["PATH_INFO"], names[-1], int(limit[1]))))
    return headers, (content,)


_ANSWERS: Final[dict[str, Callable[[WSGIEnvironment, str, str, TokenPrincipal, Project], Answer | None]]] = {
    "manifests": _manifest,
    "blobs": _blob,
    "tags": _tags,
}
