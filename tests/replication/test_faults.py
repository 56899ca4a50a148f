"""Registries that are full, slow, away or hostile: how a replication ends, and what it leaves behind."""

from __future__ import annotations

import errno
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harborsite.jobs import runner
from harborsite.jobs.models import Status
from harborsite.outbound import Client
from projects.models import Project, User
from registry.models import Artifact, Blob
from replication.adapters import session
from replication.models import Registry, ReplicationPolicy
from replication.services import executions
from tests import images
from tests.images import OCI_MANIFEST, digest_of
from tests.replication.conftest import (
    carry_out,
    carry_out_to_the_end,
    log_of,
    nothing_is_stored,
    policy,
    push_here,
    registered,
)
from tests.replication.standin import Call, StandIn, on, standin
from tests.test_outbound import certificate_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]

MIB = 1024 * 1024


@pytest.fixture
def push(admin: User, library: Project, far: StandIn) -> ReplicationPolicy:
    """One image that waits to be pushed."""
    push_here(library, "library/fault/app", ("v1",), images.image("fault"))
    return policy(admin, registered(far), "library/fault/app")


@pytest.fixture
def pull(admin: User, far: StandIn) -> ReplicationPolicy:
    """One image that waits to be pulled."""
    far.hold("team/app", "v1", images.image("fault"))
    return policy(admin, registered(far), "team/app", pull=True)


# --- targets that are full, slow or away ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("PUT", 507, "no space left"),
        ("PUT", 500, "write /data/blob: no space left on device"),
        ("POST", 503, "read only: the disk is full"),
    ],
)
def test_a_full_target_is_tried_again_and_then_said_to_be_full(
    push: ReplicationPolicy, far: StandIn, method: str, status: int, said: str
) -> None:
    refusal = {"errors": [{"code": "UNKNOWN", "message": said}]}
    far.faults.append(on(method, "/blobs/uploads/", lambda call: call.say_json(refusal, status)))
    execution = carry_out_to_the_end(executions.start(policy=push))
    task = execution.tasks.get()
    assert (execution.status, task.failures) == (Status.ERROR, 3)
    assert (str(status) in task.status_message, said in task.status_message) == (True, True)
    assert log_of(execution).count("trying again") >= 3 * 4, "for each of its blobs"
    assert not far.manifests
    far.faults.clear()
    executions.retry_task(task=task, actor="tester")
    runner.run(task.pk)
    assert far.tags("library/fault/app") == ["v1"]


def test_a_target_that_takes_no_more_is_not_asked_again(push: ReplicationPolicy, far: StandIn) -> None:
    refusal = {"errors": [{"code": "DENIED", "message": "quota exceeded"}]}
    far.faults.append(on("POST", "/blobs/uploads/", lambda call: call.say_json(refusal, 403)))
    execution = carry_out(executions.start(policy=push))
    assert (execution.status, "quota exceeded" in execution.tasks.get().status_message) == (Status.ERROR, True)
    assert "trying again" not in log_of(execution)


def test_a_target_that_is_full_before_the_manifest_gets_no_layer_twice(
    admin: User, library: Project, far: StandIn
) -> None:
    """Without a manifest there is no repository yet, but its layers are there."""
    image = images.image("layers first", layers=2, layer_size=2 * MIB)
    push_here(library, "library/first/app", ("v1",), image)
    rule = policy(admin, registered(far), "library/first/app")
    far.faults.append(on("PUT", "/manifests/", lambda call: call.say(507)))
    execution = carry_out_to_the_end(executions.start(policy=rule))
    assert (execution.status, "507" in execution.tasks.get().status_message) == (Status.ERROR, True)
    assert not far.manifests
    far.faults.clear()
    executions.retry_task(task=execution.tasks.get(), actor="tester")
    runner.run(execution.tasks.get().pk)
    assert far.tags("library/first/app") == ["v1"]
    sizes = [int(seen.headers["Content-Length"]) for seen in far.asked("PUT", "/blobs/uploads/")]
    assert sorted(size for size in sizes if size > MIB) == sorted(len(layer.data) for layer in image.blobs[1:])


def test_a_proxy_in_front_that_takes_no_large_body_is_said_so(admin: User, library: Project, far: StandIn) -> None:
    """It answers in the middle of the layer, with a page for people, and hangs up."""
    push_here(library, "library/large/app", ("v1",), images.image("large", layer_size=12 * MIB))
    rule = policy(admin, registered(far), "library/large/app")

    def refuse(call: Call) -> bool:
        if call.left <= 11 * MIB:
            return False
        call.read()
        call.say(413, b"<html><h1>413 Request Entity Too Large</h1></html>", Content_Type="text/html")
        call.close_connection = True
        return True

    far.faults.append(refuse)
    execution = carry_out(executions.start(policy=rule))
    assert execution.status == Status.ERROR, log_of(execution)
    assert "was answered with 413: it takes nothing of this size, but may take it by chunk" in (
        execution.tasks.get().status_message
    )
    assert not far.manifests
    ReplicationPolicy.objects.update(copy_by_chunk=True)
    assert carry_out(executions.start(policy=rule)).status == Status.SUCCESS


def test_a_full_disk_here_ends_a_pull_clearly(
    pull: ReplicationPolicy, far: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("registry.storage.filesystem.os.write", full)
        execution = carry_out_to_the_end(executions.start(policy=pull))
    task = execution.tasks.get()
    assert (execution.status, task.failures) == (Status.ERROR, 3)
    assert "storage is full" in task.status_message
    assert nothing_is_stored()


def test_a_busy_target_says_when_to_come_back(push: ReplicationPolicy, far: StandIn) -> None:
    far.faults.append(on("PUT", "/manifests/", lambda call: call.say(429, Retry_After="1"), times=1))
    began = time.monotonic()
    execution = carry_out(executions.start(policy=push))
    assert (execution.status, "trying again in 1 s" in log_of(execution)) == (Status.SUCCESS, True)
    assert time.monotonic() - began >= 1


def test_a_busy_target_may_name_the_moment_to_come_back(push: ReplicationPolicy, far: StandIn) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=4)
    far.faults.append(
        on("PUT", "/manifests/", lambda call: call.say(503, Retry_After=format_datetime(moment, usegmt=True)), times=1)
    )
    execution = carry_out(executions.start(policy=push))
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert datetime.now(UTC) >= moment.replace(microsecond=0)


@pytest.mark.parametrize("nonsense", ["-5", "soon", "9" * 400, "Tue, 99 Nov 2026 99:00:00 GMT", ""])
def test_a_busy_target_that_says_nonsense_is_asked_soon(push: ReplicationPolicy, far: StandIn, nonsense: str) -> None:
    far.faults.append(on("PUT", "/manifests/", lambda call: call.say(429, Retry_After=nonsense), times=1))
    assert carry_out(executions.start(policy=push)).status == Status.SUCCESS


def test_a_target_that_stops_taking_bytes_is_given_up(
    admin: User, library: Project, far: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "Client", partial(Client, timeout=0.5))
    push_here(library, "library/stuck/app", ("v1",), images.image("stuck", layer_size=12 * MIB))
    over = threading.Event()

    def take_nothing(call: Call) -> None:
        call.close_connection = True
        over.wait(60)

    far.faults.append(on("PATCH", "/blobs/uploads/", take_nothing, times=1))
    execution = carry_out(executions.start(policy=policy(admin, registered(far), "library/stuck/app")))
    over.set()
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert "does not answer in time; trying again" in log_of(execution)


def test_a_target_that_answers_nothing_or_drop_by_drop_is_given_up(
    push: ReplicationPolicy, far: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "Client", partial(Client, timeout=0.2))

    def drip(call: Call) -> None:
        call.close_connection = True
        for byte in b"HTTP/1.1 202 Accepted\r\n" * 3:
            call.wfile.write(bytes([byte]))
            time.sleep(0.05)

    far.faults.append(on("POST", "/blobs/uploads/", lambda _call: time.sleep(0.5), times=1))
    far.faults.append(on("POST", "/blobs/uploads/", drip, times=1))
    execution = carry_out(executions.start(policy=push))
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert log_of(execution).count("does not answer in time; trying again") == 2


def test_an_unreachable_target_is_given_up_with_a_reason(push: ReplicationPolicy, far: StandIn) -> None:
    far.stop()
    execution = carry_out_to_the_end(executions.start(policy=push))
    task = execution.tasks.get()
    assert (execution.status, task.failures) == (Status.ERROR, 3)
    assert "cannot be reached" in task.status_message
    assert log_of(execution).count("trying again") == 3 * 4


def test_an_unreachable_source_fails_the_execution_with_a_reason(pull: ReplicationPolicy, far: StandIn) -> None:
    """There is no task yet that could say it."""
    ReplicationPolicy.objects.update(filters=[])
    far.stop()
    execution = carry_out(executions.start(policy=pull))
    assert (execution.status, execution.tasks.count()) == (Status.ERROR, 0)
    assert "cannot be reached" in execution.status_message


# --- certificates -----------------------------------------------------------------------------------------


def test_a_certificate_nobody_vouches_for_is_said_and_is_accepted_where_a_registry_is_insecure(
    admin: User, library: Project, tmp_path: Path
) -> None:
    pem = certificate_for("127.0.0.1", tmp_path / "server.pem")
    push_here(library, "library/tls/app", ("v1",), images.image("tls"))
    with standin(tls=tmp_path / "server.pem") as far:
        rule = policy(admin, registered(far), "library/tls/app")
        execution = carry_out(executions.start(policy=rule))
        assert execution.status == Status.ERROR
        assert "certificate of 127.0.0.1" in execution.tasks.get().status_message
        assert "cannot be trusted" in execution.tasks.get().status_message
        assert far.seen == []
        for trust in ({"insecure": True}, {"insecure": False, "ca_certificate": pem}):
            far.manifests.clear()
            Registry.objects.update(**trust)
            assert carry_out(executions.start(policy=rule)).status == Status.SUCCESS
            assert far.tags("library/tls/app") == ["v1"]


# --- hostile sources --------------------------------------------------------------------------------------

IMAGE = images.image("fault")
LAYER = IMAGE.blobs[1]


def as_manifest(data: bytes, media_type: str = OCI_MANIFEST, digest: str = "") -> Any:
    return lambda call: call.say(200, data, Content_Type=media_type, Docker_Content_Digest=digest or digest_of(data))


def changed(old: bytes, new: bytes) -> bytes:
    assert old in IMAGE.data
    return IMAGE.data.replace(old, new)


@pytest.mark.parametrize(
    ("method", "part", "answer", "reason"),
    [
        ("GET", "/manifests/", as_manifest(b"<html>", "text/html"), "in truth"),
        ("GET", "/manifests/", as_manifest(IMAGE.data + b" ", digest=IMAGE.digest), "in truth"),
        ("GET", "/manifests/", as_manifest(IMAGE.data * 20_000, digest=IMAGE.digest), "too much"),
        ("GET", f"/blobs/{LAYER.digest}", lambda call: call.say(200, LAYER.data[:-1] + b"x"), "digest"),
        ("GET", f"/blobs/{LAYER.digest}", lambda call: call.say(200, LAYER.data[:-1]), "1 bytes too early"),
        ("GET", f"/blobs/{LAYER.digest}", lambda call: call.say(200, LAYER.data + b"more"), "more bytes of a blob"),
        ("GET", f"/blobs/{LAYER.digest}", lambda call: call.say(404), "404"),
        (
            "GET",
            f"/blobs/{LAYER.digest}",
            lambda call: call.say(302, Location="http://169.254.169.254/latest/meta-data"),
            "allowed_networks",
        ),
        (
            "GET",
            "/manifests/",
            lambda call: call.say(302, Location="http://169.254.169.254/latest/meta-data"),
            "allowed_networks",
        ),
        ("GET", f"/blobs/{LAYER.digest}", lambda call: call.say(302, Location="file:///etc/passwd"), "no address"),
    ],
)
def test_what_a_hostile_source_sends_is_refused_and_nothing_is_stored(
    pull: ReplicationPolicy, far: StandIn, method: str, part: str, answer: Any, reason: str
) -> None:
    far.faults.append(on(method, part, answer))
    execution = carry_out_to_the_end(executions.start(policy=pull))
    assert (execution.status, reason in log_of(execution)) == (Status.ERROR, True), log_of(execution)
    assert nothing_is_stored()
    assert not Blob.objects.filter(digest=LAYER.digest).exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not valid"),
        (b"[]", "not valid"),
        (b'{"schemaVersion": 2}', "not valid"),
        (b"[" * 100_000, "not valid"),
        (changed(LAYER.digest.encode(), b"sha256:../../etc/passwd"), "not valid"),
        (changed(str(len(LAYER.data)).encode(), b"-1"), "not valid"),
        (changed(f'"size":{len(LAYER.data)}'.encode(), b'"size":1'), "more bytes of a blob"),
        (
            changed(f'"size":{len(LAYER.data)}'.encode(), b'"size":9999999'),
            f"{9_999_999 - len(LAYER.data)} bytes too early",
        ),
    ],
)
def test_a_malformed_manifest_is_refused_and_nothing_is_stored(
    pull: ReplicationPolicy, far: StandIn, data: bytes, reason: str
) -> None:
    """Its digest is right: it was made so."""
    for key in list(far.manifests):
        far.manifests[key] = (OCI_MANIFEST, data)
    far.manifests["team/app", digest_of(data)] = (OCI_MANIFEST, data)
    execution = carry_out_to_the_end(executions.start(policy=pull))
    assert (execution.status, reason in log_of(execution)) == (Status.ERROR, True), log_of(execution)
    assert nothing_is_stored()


def test_odd_names_in_a_catalogue_are_passed_over(admin: User, far: StandIn) -> None:
    far.hold("team/app", "v1", IMAGE)
    odd = {"repositories": ["../../etc", "UPPER/case", "team/app", 5, None, "a/" * 300]}
    far.faults.append(on("GET", "/v2/_catalog", lambda call: call.say_json(odd)))
    far.faults.append(on("GET", "/tags/list", lambda call: call.say_json({"tags": ["v1", "../v2", "", 7, "x" * 200]})))
    execution = carry_out(executions.start(policy=policy(admin, registered(far), "**", pull=True)))
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert list(Artifact.objects.values_list("repository__name", "tags__name")) == [("team/app", "v1")]


# --- credentials ------------------------------------------------------------------------------------------


def test_blobs_behind_a_redirect_are_fetched_without_our_credentials(pull: ReplicationPolicy, far: StandIn) -> None:
    with standin() as bucket:
        bucket.blobs = dict(far.blobs)
        far.realm = f"{far.url}/token"
        there = bucket.url.replace("127.0.0.1", "localhost")
        far.faults.append(
            on("GET", "/blobs/", lambda call: call.say(307, Location=f"{there}{call.path}?signature=s3cret"))
        )
        execution = carry_out(executions.start(policy=pull))
        assert execution.status == Status.SUCCESS, log_of(execution)
        assert len(bucket.seen) == 2
        assert not any(seen.authorization for seen in bucket.seen)
        assert "s3cret" not in log_of(execution)
        assert any(seen.authorization == "Bearer good" for seen in far.seen)


def test_a_realm_or_an_upload_elsewhere_gets_no_credentials(push: ReplicationPolicy, far: StandIn) -> None:
    """The tokens of a thief are of no use; an upload that the target wants elsewhere is sent there unsigned."""
    with standin() as thief:
        elsewhere = thief.url.replace("127.0.0.1", "localhost")
        far.realm = f"{elsewhere}/token"
        thief.faults.append(on("GET", "/token", lambda call: call.say_json({"token": "good"})))
        far.faults.append(
            on("POST", "/blobs/uploads/", lambda call: call.say(202, Location=f"{elsewhere}/v2/x/blobs/uploads/u0"))
        )
        execution = carry_out(executions.start(policy=push))
        assert execution.status == Status.ERROR
        assert thief.asked("GET", "/token")
        assert thief.asked("PUT", "/v2/x/blobs/uploads/u0")
        assert not any(seen.authorization for seen in thief.seen)


def test_a_realm_of_the_registry_gets_our_credentials(pull: ReplicationPolicy, far: StandIn) -> None:
    far.realm = f"{far.url}/token"
    assert carry_out(executions.start(policy=pull)).status == Status.SUCCESS
    assert all(seen.authorization.startswith("Basic ") for seen in far.asked("GET", "/token"))


# --- speed, chunks, going on ------------------------------------------------------------------------------


def test_a_bandwidth_limit_limits(admin: User, library: Project, far: StandIn) -> None:
    """It holds for the whole task, whose blobs go side by side."""
    push_here(library, "library/slow/app", ("v1",), images.image("slow", layers=4, layer_size=150_000))
    rule = policy(admin, registered(far), "library/slow/app", speed=300)
    began = time.monotonic()
    execution = carry_out(executions.start(policy=rule))
    seconds = time.monotonic() - began
    assert execution.status == Status.SUCCESS, log_of(execution)
    expected = sum(map(len, far.blobs.values())) / (300 * 1024)
    assert 0.9 * expected <= seconds <= 3 * expected


def test_chunks_are_of_ten_mebibytes(admin: User, library: Project, far: StandIn) -> None:
    push_here(library, "library/chunk/app", ("v1",), images.image("chunk", layer_size=12 * MIB))
    rule = policy(admin, registered(far), "library/chunk/app", copy_by_chunk=True)
    assert carry_out(executions.start(policy=rule)).status == Status.SUCCESS
    (size,) = [len(data) for data in far.blobs.values() if len(data) > MIB]
    ranges = [seen.headers["Content-Range"] for seen in far.asked("PATCH")]
    assert ranges == [f"0-{10 * MIB - 1}", f"{10 * MIB}-{size - 1}"]


def test_a_push_that_broke_off_goes_on_where_it_stopped(admin: User, library: Project, far: StandIn) -> None:
    push_here(library, "library/broken/app", ("v1",), images.image("broken", layer_size=12 * MIB))
    rule = policy(admin, registered(far), "library/broken/app")

    def hang_up(call: Call) -> None:
        upload = far.uploads[call.path.rpartition("/")[2]]
        while len(upload) < 5 * MIB:
            upload += call.read()
        call.close_connection = True

    far.faults.append(on("PATCH", "/blobs/uploads/", hang_up, times=1))
    execution = carry_out(executions.start(policy=rule))
    assert execution.status == Status.SUCCESS, log_of(execution)
    _first, second = far.asked("PATCH")
    (size,) = [len(data) for data in far.blobs.values() if len(data) > MIB]
    assert int(second.headers["Content-Length"]) <= size - 5 * MIB
    assert far.tags("library/broken/app") == ["v1"]


def test_a_pull_that_broke_off_goes_on_where_it_stopped(admin: User, far: StandIn) -> None:
    image = images.image("broken", layer_size=12 * MIB)
    far.hold("team/app", "v1", image)
    large = image.blobs[1]
    far.faults.append(
        on("GET", large.digest, lambda call: call.say(200, large.data[: 5 * MIB], announced=len(large.data)), times=1)
    )
    execution = carry_out(executions.start(policy=policy(admin, registered(far), "team/app", pull=True)))
    assert execution.status == Status.SUCCESS, log_of(execution)
    ranges = [seen.headers.get("Range") for seen in far.asked("GET", large.digest)]
    assert ranges == [None, f"bytes={5 * MIB}-"]
    assert Artifact.objects.get().digest == image.digest


def test_a_task_that_starts_again_after_a_crash_goes_on_where_it_stopped(
    admin: User, library: Project, far: StandIn
) -> None:
    """What a try had begun is in the task's row, for the next one is another process."""
    push_here(library, "library/crashed/app", ("v1",), images.image("crashed", layer_size=12 * MIB))
    execution = executions.start(policy=policy(admin, registered(far), "library/crashed/app"))

    def crash(call: Call) -> None:
        upload = far.uploads[call.path.rpartition("/")[2]]
        while call.left:
            upload += call.read()
        call.say(500)

    far.faults.append(on("PATCH", "/blobs/uploads/", crash, times=1))
    far.faults.append(on("GET", "/blobs/uploads/", lambda call: call.say(503), times=4))
    execution = carry_out(execution)
    task = execution.tasks.get()
    assert (task.status, len(task.extra_attrs["uploads"])) == (Status.PENDING, 1)
    assert carry_out_to_the_end(execution).status == Status.SUCCESS
    assert len(far.asked("PATCH")) == 1, "all had arrived, though the target had not said so"


# --- targets that take nothing ----------------------------------------------------------------------------


def test_a_project_that_is_a_proxy_cache_is_left_out_with_a_reason(push: ReplicationPolicy, far: StandIn) -> None:
    Registry.objects.update(type="harbor")
    project = [{"project_id": 4, "name": "library", "registry_id": 7, "metadata": {"public": "true"}}]
    far.faults.append(on("GET", "/api/version", lambda call: call.say_json({"version": "v2.0"})))
    far.faults.append(on("HEAD", "/api/v2.0/projects", lambda call: call.say(200)))
    far.faults.append(on("GET", "/api/v2.0/projects", lambda call: call.say_json(project)))
    execution = carry_out(executions.start(policy=push))
    assert execution.status == Status.SUCCESS
    assert "library of the target is a proxy cache" in log_of(execution)
    assert not far.asked("POST")
