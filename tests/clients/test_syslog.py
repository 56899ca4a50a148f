"""The audit log as rsyslog takes it, over UDP and TCP, through its own death and ours."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests import images, services
from tests.clients.registry import Registry
from tests.clients.test_job_faults import eventually


@pytest.fixture
def rsyslog() -> Iterator[services.Rsyslog]:
    with services.rsyslogd() as server:
        yield server


def resources(rsyslog: services.Rsyslog) -> set[str]:
    return {each["msg"].partition("resource:")[2].partition(",")[0] for each in rsyslog.records()}


def push(site: services.Site, *tags: str) -> set[str]:
    registry = Registry(site.host, "admin", site.password)
    image = images.image("logged")
    for tag in tags:
        registry.push("library/app", image, tag)
    return {f"library/app:{tag}" for tag in tags}


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_rsyslog_reads_every_field(rsyslog: services.Rsyslog, protocol: str) -> None:
    with services.harborsite(syslog_url=f"{protocol}://127.0.0.1:{rsyslog.port}") as site:
        pushed = push(site, "v1")
        eventually(lambda: pushed <= resources(rsyslog))
    (record,) = [each for each in rsyslog.records() if "library/app:v1" in each["msg"]]
    assert (record["pri"], record["hostname"], record["app-name"]) == ("110", "127.0.0.1", "harborsite")
    assert record["msgid"] == "create_artifact"
    assert 'operator="admin" resourceType="artifact" result="success"' in record["msg"]


def test_nothing_is_lost_when_the_collector_or_the_server_dies(rsyslog: services.Rsyslog) -> None:
    with services.harborsite(syslog_url=f"tcp://127.0.0.1:{rsyslog.port}") as site:
        pushed = push(site, "v1")
        eventually(lambda: pushed <= resources(rsyslog))
        rsyslog.process.kill()
        began = time.monotonic()
        pushed |= push(site, *(f"w{number}" for number in range(5)))
        assert time.monotonic() - began < 10, "a push does not wait for the collector"
        eventually(lambda: "log collector not reached" in site.server.log_tail(100))
        site.kill9()
        rsyslog.start()
        site.start()
        eventually(lambda: pushed <= resources(rsyslog), seconds=40)
        assert "log collector not reached" in site.server.log_tail(1000)
