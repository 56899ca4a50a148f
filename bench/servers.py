"""The two servers, with empty stores on loopback, and the weight of a process tree."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.load import BenchmarkError
from bench.rows import REPOSITORY, Target
from harborsite.server.processes import descendants
from tests.services import Site, docker_registry, harborsite

VISITS = 4  # so many that each web process has answered everything
PAGES = ("/projects/", "/projects/library/", "/logs/", "/users/", "/api/v2.0/projects", "/api/v2.0/systeminfo")


@dataclass(frozen=True)
class Weight:
    """What an idle server costs that has been used."""

    pss_mib: float
    processes: int
    seconds_to_healthy: float


def weigh(site: Site, idle: float) -> Weight:
    """Restart the server, see how fast it is healthy, use it, leave it alone, and look at its memory."""
    site.server.stop()
    began = time.monotonic()
    site.start()
    healthy = time.monotonic() - began
    for _ in range(VISITS):
        _use(site)
    time.sleep(idle)
    pid = site.server.process.pid
    family = [pid, *descendants(pid)]
    return Weight(round(sum(map(_pss, family)), 1), len(family), round(healthy, 2))


def _use(site: Site) -> None:
    """Push an image, pull it, sign in and open some pages."""
    target = Target("Harborsite", site.port, token_of(site))
    with target.client() as client:
        for data in (b"{}", target.small, target.large):
            load.push_blob(client, REPOSITORY, data, load.digest_of(data))
        load.push_manifest(client, REPOSITORY, "v1", target.manifest("read"))
        client.call("GET", f"/v2/{REPOSITORY}/manifests/v1", 200, accept=load.MANIFEST_TYPE)
        for digest, _size in target.layers:
            client.call("GET", f"/v2/{REPOSITORY}/blobs/{digest}", 200)
    cookie = session(site)
    for page in PAGES:
        with urllib.request.urlopen(urllib.request.Request(site.url + page, headers={"Cookie": cookie})) as answer:
            answer.read()


def _pss(pid: int) -> float:
    """A process's share of memory in MiB: what it shares with others counts in part."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def processor_seconds(pid: int) -> float:
    """The time on a processor that a process tree has had so far."""
    threads = [task for each in (pid, *descendants(pid)) for task in Path(f"/proc/{each}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in threads) / 1e9


@contextmanager
def both(idle: float) -> Iterator[tuple[Weight, Target, Target]]:
    """Harborsite's weight, then docker-registry and Harborsite; one token of our service opens both."""
    with harborsite({"HARBOR_DATABASE": "sqlite"}) as site:
        weight = weigh(site, idle)
        token = token_of(site)
        auth = {
            "realm": f"{site.url}/service/token",
            "service": "harbor-registry",
            "issuer": "harbor-token-issuer",
            "rootcertbundle": str(site.data / "secret" / "root.crt"),
        }
        quiet = {"level": "error", "accesslog": {"disabled": True}}
        with docker_registry(auth={"token": auth}, log=quiet) as host:
            peer = Target("docker-registry", int(host.rpartition(":")[2]), token)
            ours = Target("Harborsite", site.port, token)
            for target in (peer, ours):
                target.fill()
            yield weight, peer, ours


def token_of(site: Site) -> str:
    """A token of the administrator for the repository of the rows."""
    url = f"{site.url}/service/token?service=harbor-registry&scope=repository:{REPOSITORY}:pull,push"
    credentials = base64.b64encode(f"admin:{site.password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        token: str = json.load(answer)["token"]
    return token


def session(site: Site) -> str:
    """The cookie of the administrator's session."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(f"{site.url}/api/v2.0/systeminfo", timeout=10) as answer:
        token = answer.headers["X-Harbor-CSRF-Token"]
    form = urllib.parse.urlencode({"principal": "admin", "password": site.password}).encode()
    opener.open(urllib.request.Request(f"{site.url}/c/login", form, {"X-Harbor-CSRF-Token": token}), timeout=10).close()
    with opener.open(f"{site.url}/api/v2.0/users/current", timeout=10) as answer:
        if json.load(answer)["username"] != "admin":
            raise BenchmarkError("signing in failed")
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
