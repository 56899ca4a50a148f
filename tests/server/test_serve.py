"""`manage.py serve` as a whole: light, fair to everybody, and back after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench import load
from bench.rows import REPOSITORY
from bench.servers import token_of, weigh
from harborsite.server.processes import descendants
from tests.services import LOOPBACK, ROOT, Site, free_port, harborsite

LAYER = os.urandom(4 << 20)
PSS_LIMIT_MIB = 200


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite({"HARBOR_DATABASE": "sqlite"}) as running:
        yield running


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    """Of the administrator, for a repository that holds a layer and an image of it."""
    made = token_of(site)
    manifest = load.manifest(load.digest_of(b"{}"), [(load.digest_of(LAYER), len(LAYER))], "")
    with load.Client(site.port, made) as client:
        for data in (b"{}", LAYER):
            load.push_blob(client, REPOSITORY, data, load.digest_of(data))
        load.push_manifest(client, REPOSITORY, "v1", manifest)
    return made


def pull(client: load.Client) -> None:
    client.call("GET", f"/v2/{REPOSITORY}/manifests/v1", 200, accept=load.MANIFEST_TYPE)
    client.call("GET", f"/v2/{REPOSITORY}/blobs/{load.digest_of(LAYER)}", 200)


def test_it_is_light(site: Site) -> None:
    assert weigh(site, idle=3).pss_mib <= PSS_LIMIT_MIB


def test_two_hundred_slow_pulls_do_not_stop_others(site: Site, token: str) -> None:
    path = f"/v2/{REPOSITORY}/blobs/{load.digest_of(LAYER)}"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(200):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect((LOOPBACK, site.port))
            reader.sendall(head.encode())
            assert reader.recv(1) == b"H"
        began = time.monotonic()
        client = stack.enter_context(load.Client(site.port, token))
        pull(client)
        load.push_blob(client, REPOSITORY, b"meanwhile", load.digest_of(b"meanwhile"))
        assert time.monotonic() - began < 5


def test_a_killed_web_process_comes_back(site: Site, token: str) -> None:
    supervisor = site.server.process.pid
    web = next(pid for pid in descendants(supervisor) if _parent(pid) == supervisor)
    orphans = descendants(web)
    os.kill(web, signal.SIGKILL)
    site.server.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in orphans), seconds=10)
    site.server.wait_until(site.healthy, seconds=10)
    with load.Client(site.port, token) as client:
        pull(client)


def test_plain_gunicorn_serves_the_same(site: Site, token: str) -> None:
    port = free_port()
    options = ["-b", f"{LOOPBACK}:{port}", "-k", "gthread", "--threads", "4"]
    argv = [sys.executable, "-m", "gunicorn", "harborsite.wsgi", *options]
    with subprocess.Popen(argv, cwd=ROOT, env=os.environ | site.env, stderr=subprocess.DEVNULL) as server:
        try:
            site.server.wait_until(lambda: _answers(port))
            with load.Client(port, token) as client:
                pull(client)
                load.push_layer(client, REPOSITORY, load.new_layer(8 << 20))
        finally:
            server.terminate()


def test_plain_gunicorn_is_refused_where_the_proxy_would_have_to_send_the_blobs(site: Site) -> None:
    """Nobody would be there to do it: clients would get empty blobs."""
    argv = [sys.executable, "-m", "gunicorn", "harborsite.wsgi", "-b", f"{LOOPBACK}:{free_port()}"]
    env = os.environ | site.env | {"HARBOR_WITH_PROXY": "on"}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert "HARBOR_WITH_PROXY: with_proxy: is for 'manage.py serve'" in done.stderr


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v2.0/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
