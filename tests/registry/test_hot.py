"""The short way answers as the views do, byte for byte, and leaves to them what is not plain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory

from harborsite.server.application import RegistryHandler, constant_headers
from projects.models import Project, User
from registry.auth import tokens
from registry.models import BlobLink, Repository, Tag
from registry.services import pulls
from registry.v2.hot import HotPath, plain_answer
from tests.factories import client_for
from tests.images import OCI_MANIFEST, Manifest, image

NAME = "library/app"
Answer = tuple[str, dict[str, str], bytes]
Ask = Callable[..., dict[str, object]]


@contextmanager
def _kept_connection() -> Iterator[None]:
    """A request that begins or ends drops connections with an open transaction, which every test has."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def pushed(library: Project, alice: User) -> Manifest:
    """An image with the tags v1 and v2."""
    made, client = image(), client_for(alice)
    for blob in made.blobs:
        started = client.post(f"/v2/{NAME}/blobs/uploads/")
        address = f"{started['Location'].removeprefix('http://testserver')}?digest={blob.digest}"
        assert client.put(address, blob.data, content_type="application/octet-stream").status_code == 201
    for tag in ("v1", "v2"):
        address = f"/v2/{NAME}/manifests/{tag}"
        assert client.put(address, made.data, content_type=made.media_type).status_code == 201
    return made


@pytest.fixture
def ask(library: Project) -> Ask:
    """The environ of a request with a token for `library`."""

    def make(
        method: str, path: str, *, actions: str = "pull", token: str | None = None, **extra: str
    ) -> dict[str, object]:
        access = {"type": "repository", "name": NAME, "actions": actions.split(",")}
        made = tokens.mint(subject="alice", access=[access], projects={}).token  # type: ignore[list-item]
        headers = {"HTTP_ACCEPT": OCI_MANIFEST, "HTTP_AUTHORIZATION": f"Bearer {token or made}"} | extra
        request = RequestFactory().generic(method, f"/v2/{NAME}/{path}", **headers)  # type: ignore[arg-type]
        return dict(request.META)

    return make


def answer(application: Callable[..., Iterable[bytes]], environ: dict[str, object]) -> Answer:
    """Status, headers but for the request's id, and body."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    result = application(dict(environ), lambda status, headers, error=None: heads.append((status, headers)))
    body = b"".join(result)
    if close := getattr(result, "close", None):
        close()
    status, headers = heads[0]
    return status, {name: value for name, value in headers if name != "X-Request-Id"}, body


def both(environ: dict[str, object]) -> tuple[Answer, Answer]:
    views = RegistryHandler()
    with _kept_connection():
        return answer(HotPath(views, constant_headers("http")), environ), answer(views, environ)


def expand(path: str, made: Manifest) -> str:
    return path.format(manifest=made.digest, blob=made.blobs[-1].digest, absent="sha256:" + "0" * 64)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["manifests/v1", "manifests/{manifest}", "blobs/{blob}", "tags/list?n=2", "tags/list?n=1"]
)
def test_plain_requests_are_answered_alike(ask: Ask, pushed: Manifest, method: str, path: str) -> None:
    environ = ask(method, expand(path, pushed))
    assert plain_answer(environ) is not None
    short, long = both(environ)
    assert short == long
    assert short[0] == "200 OK"
    assert "X-Content-Type-Options" in short[1]


@pytest.mark.parametrize(
    ("method", "path", "extra"),
    [
        ("GET", "manifests/absent", {}),
        ("GET", "manifests/-bad", {}),
        ("GET", "manifests/sha256:beef", {}),
        ("GET", "manifests/v1", {"HTTP_ACCEPT": "application/json"}),
        ("GET", "manifests/v1", {"HTTP_IF_NONE_MATCH": "*"}),
        ("GET", "manifests/v1", {"token": "forged"}),
        ("GET", "manifests/v1", {"actions": "push"}),
        ("GET", "manifests/v1", {"HTTP_AUTHORIZATION": ""}),
        ("GET", "blobs/{absent}", {}),
        ("GET", "blobs/{blob}", {"HTTP_RANGE": "bytes=1-2"}),
        ("GET", "tags/list?n=0", {}),
        ("GET", "tags/list?n=x", {}),
        ("GET", "tags/list?n=5&last=v1", {}),
        ("GET", "tags/list", {}),
        ("GET", "tags/other", {}),
        ("DELETE", "tags/list", {}),
        ("POST", "manifests/v1", {}),
    ],
)
def test_the_rest_is_left_to_the_views(
    ask: Ask, pushed: Manifest, method: str, path: str, extra: dict[str, str]
) -> None:
    environ = ask(method, expand(path, pushed), **extra)
    assert plain_answer(environ) is None
    short, long = both(environ)
    assert short == long


def test_a_pushers_question_for_a_blob_is_left_to_the_views(ask: Ask, pushed: Manifest) -> None:
    """They keep the blob from garbage collection."""
    assert plain_answer(ask("HEAD", expand("blobs/{blob}", pushed), actions="pull,push")) is None
    assert plain_answer(ask("GET", expand("blobs/{blob}", pushed), actions="pull,push")) is not None


def test_what_changes_is_seen_at_once(ask: Ask, pushed: Manifest, library: Project) -> None:
    """The token is remembered, the answer is not."""
    by_tag, blob = ask("GET", "manifests/v1"), ask("GET", expand("blobs/{blob}", pushed))
    assert plain_answer(by_tag)
    assert plain_answer(blob)
    Tag.objects.filter(name="v1").delete()
    BlobLink.objects.all().delete()
    assert plain_answer(by_tag) is None
    assert plain_answer(blob) is None
    assert plain_answer(ask("GET", "manifests/v2"))
    Project.objects.filter(pk=library.pk).update(name="renamed")
    assert plain_answer(ask("GET", "manifests/v2")) is None


def test_pulls_count_both_ways(ask: Ask, pushed: Manifest) -> None:
    pulls.flush()
    before = Repository.objects.get(name=NAME).pull_count
    both(ask("GET", "manifests/v1"))
    both(ask("HEAD", "manifests/v1"))
    pulls.flush()
    assert Repository.objects.get(name=NAME).pull_count == before + 2
