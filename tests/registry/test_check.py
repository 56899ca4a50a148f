"""Checking the storage: what is wrong is found, set aside and never served, and healed by a push."""

from __future__ import annotations

import io
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from audit.models import AuditLog
from harborsite.db.exclusive import exclusive
from harborsite.jobs import engine, runner
from harborsite.jobs.kinds import CHECK_STORAGE
from harborsite.jobs.models import Status, Task
from harborsite.jobs.runner import StopJob
from harborsite.management.commands import check_storage
from projects.models import Project
from registry.models import Blob
from registry.oci.digest import Digest
from registry.services import check, gc
from registry.services.check import Fault, Finding
from registry.storage import BlobStore, streams
from tests.images import digest_of, image
from tests.registry import wire
from tests.registry.test_gc import age, age_files

PUSHED = image("pushed", layers=2)
CONFIG, FIRST, SECOND = (blob.digest for blob in PUSHED.blobs)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def app(owner: Client) -> Client:
    """`library/app:v1` is pushed."""
    assert wire.push(owner, "library/app:v1", PUSHED).status_code == 201
    return owner


def file_of(root: Path, digest: str) -> Path:
    algorithm, _, name = digest.partition(":")
    return root / "blobs" / algorithm / name[:2] / name / "data"


def spoil(root: Path, digest: str, *, same_size: bool = True) -> None:
    file = file_of(root, digest)
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(bytes(content) if same_size else bytes(content[:-1]))


def faults(report: check.Report) -> dict[str, Fault]:
    return {finding.digest: finding.fault for finding in report.findings}


def test_a_healthy_store_has_no_faults(app: Client, root: Path) -> None:
    age_files(root)
    report = check.check(quarantine=True, purge=True)
    assert report.is_healthy
    assert (report.blobs, report.bytes) == (3, sum(len(blob.data) for blob in PUSHED.blobs))
    assert (report.healed, report.set_aside, report.purged) == (0, 0, 0)


def test_every_kind_of_fault_is_found_and_nothing_is_changed(app: Client, blob_store: BlobStore, root: Path) -> None:
    spoil(root, FIRST)
    file_of(root, SECOND).unlink()
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    assert faults(check.check()) == {FIRST: Fault.DAMAGED, SECOND: Fault.MISSING}, "a push may be under way"
    age_files(root)
    told: list[Finding] = []
    report = check.check(found=told.append)
    assert faults(report) == {FIRST: Fault.DAMAGED, SECOND: Fault.MISSING, digest_of(b"stray"): Fault.UNKNOWN}
    assert told == report.findings
    assert next(one for one in told if one.digest == FIRST).repositories == ("library/app",)
    assert set(Blob.objects.values_list("status", flat=True)) == {"none"}
    assert blob_store.stat(Digest.of(b"stray")) == 5
    assert not list(blob_store.aside())
    assert not AuditLog.objects.filter(resource="storage").exists()


def test_a_quick_check_sees_sizes_alone(app: Client, root: Path) -> None:
    spoil(root, FIRST)
    spoil(root, SECOND, same_size=False)
    assert faults(check.check(quick=True)) == {SECOND: Fault.DAMAGED}


def test_a_damaged_blob_is_served_no_more_and_healed_by_a_push(app: Client, blob_store: BlobStore, root: Path) -> None:
    spoil(root, FIRST)
    assert check.check(quarantine=True).set_aside == 1
    assert Blob.objects.get(digest=FIRST).status == Blob.Status.DAMAGED
    assert not wire.has_blob(app, "library/app", FIRST)
    assert wire.get_blob(app, "library/app", FIRST).status_code == 404
    mounted = app.post(f"/v2/library/web/blobs/uploads/?mount={FIRST}&from=library/app")
    assert mounted.status_code == 202, "it has to be sent"
    assert [str(found.digest) for found in blob_store.aside()] == [FIRST]
    row = AuditLog.objects.get(resource="storage")
    assert row.data == {"faults": 1, "healed": 0, "set_aside": 1, "purged": 0}

    assert faults(check.check(quarantine=True)) == {FIRST: Fault.MISSING}, "still not there"
    assert wire.push(app, "library/app:v1", PUSHED).status_code == 201
    assert Blob.objects.get(digest=FIRST).status == Blob.Status.NONE
    assert wire.content(wire.get_blob(app, "library/app", FIRST)) == PUSHED.blobs[1].data
    report = check.check(purge=True)
    assert (report.is_healthy, report.purged, report.quarantined) == (True, 1, 0)
    assert wire.has_blob(app, "library/app", FIRST)


def test_a_blob_without_bytes_is_asked_for_again(app: Client, root: Path) -> None:
    file_of(root, SECOND).unlink()
    assert wire.has_blob(app, "library/app", SECOND), "nobody knows yet"
    assert check.check(quarantine=True).set_aside == 0
    assert not wire.has_blob(app, "library/app", SECOND)
    wire.push(app, "library/app:v1", PUSHED)
    assert wire.has_blob(app, "library/app", SECOND)
    assert check.check().is_healthy


def test_a_push_that_breaks_off_leaves_a_damaged_blob_damaged(app: Client, root: Path, monkeypatch: Any) -> None:
    from registry.services import blobs

    file_of(root, SECOND).unlink()
    check.check(quarantine=True)
    blobs.prepare(project=Project.objects.get(name="library"), digest=Digest.parse(SECOND), size=1)
    assert Blob.objects.get(digest=SECOND).status == Blob.Status.DAMAGED


def test_bytes_that_came_back_by_hand_heal_the_blob(app: Client, root: Path) -> None:
    """An operator copies the file from a backup."""
    content = file_of(root, FIRST).read_bytes()
    spoil(root, FIRST)
    check.check(quarantine=True)
    file_of(root, FIRST).parent.mkdir()
    file_of(root, FIRST).write_bytes(content)
    assert check.check().healed == 0
    assert check.check(quarantine=True).healed == 1
    assert wire.has_blob(app, "library/app", FIRST)


def test_right_bytes_that_are_aside_are_put_back(app: Client, blob_store: BlobStore) -> None:
    """A check that died between moving them and looking again."""
    blob_store.set_aside(Digest.parse(FIRST))
    report = check.check(quarantine=True)
    assert (report.is_healthy, report.healed, report.quarantined) == (True, 1, 0)
    assert wire.content(wire.get_blob(app, "library/app", FIRST)) == PUSHED.blobs[1].data


def test_a_push_between_reading_and_setting_aside_is_not_lost(
    app: Client, blob_store: BlobStore, root: Path, monkeypatch: Any
) -> None:
    spoil(root, FIRST)
    set_aside = blob_store.set_aside

    def pushed_meanwhile(digest: Digest) -> bool:
        blob_store.put(io.BytesIO(PUSHED.blobs[1].data), digest)
        return set_aside(digest)

    monkeypatch.setattr(blob_store, "set_aside", pushed_meanwhile)
    assert check.check(quarantine=True).set_aside == 0
    assert wire.content(wire.get_blob(app, "library/app", FIRST)) == PUSHED.blobs[1].data
    assert check.check().is_healthy


def test_unknown_bytes_are_set_aside_and_purged(app: Client, blob_store: BlobStore, root: Path) -> None:
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    age_files(root)
    report = check.check(quarantine=True)
    assert (report.set_aside, report.quarantined) == (1, 1)
    assert blob_store.stat(Digest.of(b"stray")) is None
    assert not Blob.objects.filter(digest=digest_of(b"stray")).exists()
    report = check.check(purge=True)
    assert (report.is_healthy, report.purged, report.quarantined) == (True, 1, 0)
    assert wire.put_blob(app, "library/app", b"stray").status_code == 201


def test_garbage_collection_takes_damaged_blobs_that_nothing_needs(app: Client, root: Path) -> None:
    spoil(root, FIRST)
    check.check(quarantine=True)
    app.delete(f"/v2/library/app/manifests/{PUSHED.digest}")
    age()
    assert gc.run().blobs == 3
    assert not Blob.objects.exists()


def test_a_damaged_blob_that_an_image_needs_survives_garbage_collection(app: Client, root: Path) -> None:
    spoil(root, FIRST)
    check.check(quarantine=True)
    age()
    assert gc.run().blobs == 0
    assert Blob.objects.get(digest=FIRST).status == Blob.Status.DAMAGED


def test_the_command_reports_and_its_status_tells(
    app: Client, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(check_storage, "check_prepared", lambda config: None)
    monkeypatch.setattr(check_storage, "_EVERY_SECONDS", 0.0)
    call_command("check_storage")
    out, err = capsys.readouterr()
    assert out.startswith("3 blobs, ")
    assert "3 of 3 blobs" in err
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    call_command("check_storage")
    assert "0 处错误" in capsys.readouterr().out
    monkeypatch.delenv("LC_ALL")
    spoil(root, FIRST)
    with pytest.raises(SystemExit) as ended:
        call_command("check_storage")
    assert ended.value.code == 1
    assert f"damaged  {FIRST} {len(PUSHED.blobs[1].data)}  library/app" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("check_storage", "--quarantine", "--purge", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["set_aside"], report["purged"], report["quarantined"]) == (1, 1, 0)
    assert report["findings"] == [
        {"digest": FIRST, "fault": "damaged", "size": len(PUSHED.blobs[1].data), "repositories": ["library/app"]}
    ]


def test_young_files_are_left_to_their_push(app: Client, blob_store: BlobStore) -> None:
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    assert check.check(quarantine=True).is_healthy
    assert faults(check.check(grace=timedelta(seconds=-1))) == {digest_of(b"stray"): Fault.UNKNOWN}


def checked(**attrs: Any) -> Task:
    """A check as a job, run to its end."""
    task = engine.start(vendor_type=CHECK_STORAGE, extra_attrs=attrs).tasks.get()
    runner.run(task.pk)
    task.refresh_from_db()
    return task


def log_of(task: Task) -> str:
    return "".join(task.log_parts.values_list("text", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_check_is_a_job_that_ends_as_an_error_where_there_are_faults(app: Client, root: Path) -> None:
    done = checked()
    assert (done.status, done.extra_attrs["blobs"], done.extra_attrs["faults"]) == (Status.SUCCESS, 3, 0)
    assert (done.done, done.unit) == (done.total, "bytes")
    spoil(root, FIRST)
    assert checked(quick=True).status == Status.SUCCESS
    tried = checked(dry_run=True)
    assert (tried.status, tried.status_message) == (Status.ERROR, "the storage has faults: the log says which")
    assert f"damaged {FIRST}, {len(PUSHED.blobs[1].data)} bytes, held by library/app" in log_of(tried)
    assert Blob.objects.get(digest=FIRST).status == Blob.Status.NONE
    assert checked().extra_attrs["set_aside"] == 1
    assert Blob.objects.get(digest=FIRST).status == Blob.Status.DAMAGED


@pytest.mark.django_db(transaction=True)
def test_a_check_that_was_ended_goes_on_where_it_was(app: Client, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped by a person, and by a server that stops."""
    spoil(root, CONFIG)
    looked_at: list[str] = []
    is_right, stop_at = check._is, {SECOND}

    def looked(file: Any, digest: Digest, check_stop: Any) -> bool:
        looked_at.append(str(digest))
        if str(digest) in stop_at:
            raise StopJob
        return is_right(file, digest, check_stop)

    monkeypatch.setattr(check, "_is", looked)
    order = list(Blob.objects.order_by("pk").values_list("digest", flat=True))
    stop_at = {order[2]}
    task = checked(dry_run=True)
    assert (task.status, task.extra_attrs["blobs"]) == (Status.STOPPED, 2)
    engine.retry(task=task)
    monkeypatch.setattr(runner, "_leaving", True)
    runner.run(task.pk)
    task.refresh_from_db()
    assert (task.status, task.extra_attrs["blobs"]) == (Status.PENDING, 2)
    monkeypatch.setattr(runner, "_leaving", False)
    stop_at = set()
    runner.run(task.pk)
    task.refresh_from_db()
    assert looked_at == [*order, order[2]], "the server was leaving before it read anything"
    assert (task.status, task.extra_attrs["blobs"], task.extra_attrs["faults"]) == (Status.ERROR, 3, 1)
    assert (task.extra_attrs["after"], log_of(task).count("damaged")) == (0, 1), "the next begins anew"


@pytest.mark.django_db(transaction=True)
def test_a_check_may_be_stopped_in_the_middle_of_a_blob(app: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        if pieces.called:
            raise StopJob

    pieces = Mock(wraps=streams.steps)
    monkeypatch.setattr(check, "steps", pieces)
    with pytest.raises(StopJob):
        check.check(check_stop=stop)
    assert pieces.call_count == 1


@pytest.mark.django_db(transaction=True)
def test_bytes_are_set_aside_when_garbage_is_no_longer_collected(
    app: Client, blob_store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    age_files(root)
    waits, done = threading.Event(), list[check.Report]()
    monkeypatch.setattr(check, "_PATIENCE", 0.01)

    def run() -> None:
        done.append(check.check(quarantine=True, check_stop=waits.set))
        connection.close()

    with exclusive("gc") as mine:
        assert mine
        thread = threading.Thread(target=run)
        thread.start()
        assert waits.wait(30)
        assert not done
    thread.join()
    assert done[0].set_aside == 1


def test_what_is_aside_is_listed_and_removed_by_choice(app: Client, blob_store: BlobStore, root: Path) -> None:
    spoil(root, FIRST)
    blob_store.put(io.BytesIO(b"stray"), Digest.of(b"stray"))
    age_files(root)
    check.check(quarantine=True)
    found = {each.digest: each for each in check.quarantined()}
    assert (found[FIRST].status, list(found[FIRST].repositories)) == (Blob.Status.DAMAGED, ["library/app"])
    assert (found[digest_of(b"stray")].status, found[digest_of(b"stray")].size) == (None, 5)
    assert check.purge(digests=[FIRST, digest_of(b"neither")], actor="mei") == 1
    assert [each.digest for each in check.quarantined()] == [digest_of(b"stray")]
    row = AuditLog.objects.get(resource="quarantine")
    assert (row.username, row.operation, row.data) == ("mei", "delete", {"purged": 1})
