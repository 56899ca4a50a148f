"""Administration › Clean up: garbage collection, log rotation and checks of the storage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from harborsite.jobs import runner
from harborsite.jobs.models import Execution, Schedule, Status, Task
from projects.models import Project, User
from registry.models import Artifact, Blob, BlobLink
from registry.storage import BlobStore
from tests.factories import client_for, push
from tests.images import image
from tests.portal.conftest import SignedIn
from tests.registry.conftest import blob_store
from tests.registry.test_check import spoil

__all__ = ["blob_store"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def garbage(library: Project, blob_store: BlobStore) -> int:
    """An image that was deleted yesterday; how many bytes it has."""
    owner = client_for(library.owner)
    gone = image("gone")
    push(owner, "library/app:gone", gone)
    push(owner, "library/app:kept", image("kept"))
    owner.delete(f"/v2/library/app/manifests/{gone.digest}")
    yesterday = timezone.now() - timedelta(days=1)
    for rows in (Blob.objects, BlobLink.objects):
        rows.update(update_time=yesterday)
    Artifact.objects.update(push_time=yesterday)
    return sum(len(blob.data) for blob in gone.blobs)


def run_everything() -> None:
    for task in Task.objects.filter(status=Status.PENDING):
        runner.run(task.pk)


def test_garbage_is_previewed_tried_and_collected(boss: Client, garbage: int) -> None:
    preview = boss.get("/clean-up/preview/").content.decode()
    assert f"{garbage} B" in preview
    assert '<th scope="row" class="breaks">library</th>' in preview
    assert '<a href="/clean-up/artifacts/library/app/">library/app</a>' in preview
    assert "kept" in boss.get("/clean-up/artifacts/library/app/").content.decode()
    for path in ("dry-run", "run"):
        assert boss.get(f"/clean-up/{path}/").status_code == 200
        assert not Execution.objects.filter(extra_attrs__dry_run=path == "dry-run").exists(), "asking starts nothing"
        answer = boss.post(f"/clean-up/{path}/", {"workers": "2", "delete_untagged": "on"})
        run = Execution.objects.latest("pk")
        assert answer["Location"] == f"/clean-up/{run.pk}/"
        wanted = {"delete_untagged": True, "delete_tag": False, "workers": 2, "dry_run": path == "dry-run"}
        assert run.extra_attrs == wanted
        assert "every 5s" in boss.get("/clean-up/").content.decode()
        run_everything()
        assert Blob.objects.count() == (4 if path == "dry-run" else 2)
    page = boss.get("/clean-up/").content.decode()
    assert page.count(f"0 manifests, 2 blobs, {garbage} B") == 2
    assert "every 5s" not in page
    task = Task.objects.latest("pk")
    assert "bytes freed" in boss.get(f"/clean-up/{task.execution_id}/log/{task.pk}/").content.decode()
    assert "There is nothing to free." in boss.get("/clean-up/preview/").content.decode()
    assert boss.get("/clean-up/artifacts/no/where/").status_code == 404


@pytest.mark.parametrize("workers", ["0", "11", "x", ""])
def test_a_number_of_workers_that_can_not_be_is_refused(boss: Client, workers: str) -> None:
    assert boss.post("/clean-up/run/", {"workers": workers}).status_code == 200
    assert not Execution.objects.exists()


def test_who_sets_and_removes_a_schedule_is_written_down(boss: Client) -> None:
    for period in ("Daily", "None"):
        assert boss.post("/clean-up/schedule/", {"period": period, "workers": "1"}).status_code == 302
    written = AuditLog.objects.filter(username="admin", resource_type="gc").order_by("pk")
    assert list(written.values_list("operation", "resource")) == [
        ("create", "schedule 0 0 0 * * *"),
        ("delete", "schedule 0 0 0 * * *"),
    ]


def test_a_schedule_is_set_shown_and_removed(boss: Client) -> None:
    assert "Not scheduled" in boss.get("/clean-up/").content.decode()
    wanted = {"period": "Custom", "cron": "0 30 2 * * *", "workers": "4", "delete_untagged": "on"}
    assert boss.post("/clean-up/schedule/", wanted).status_code == 302
    schedule = Schedule.objects.get(vendor_type="GARBAGE_COLLECTION")
    assert (schedule.cron, schedule.cron_type, schedule.extra_attrs["workers"]) == ("0 30 2 * * *", "Custom", 4)
    page = boss.get("/clean-up/").content.decode()
    assert "0 30 2 * * *" in page
    assert "<dt>Workers</dt><dd>4</dd>" in page
    shown = boss.get("/clean-up/schedule/").content.decode()
    assert 'value="0 30 2 * * *"' in shown
    wrong = boss.post("/clean-up/schedule/", {**wanted, "cron": "* * *"})
    assert "must have 6 fields" in wrong.content.decode()
    assert boss.post("/clean-up/schedule/", {"period": "Daily", "workers": "1"}).status_code == 302
    assert Schedule.objects.get(vendor_type="GARBAGE_COLLECTION").cron == "0 0 0 * * *"
    assert boss.post("/clean-up/schedule/", {"period": "None", "workers": "1"}).status_code == 302
    assert not Schedule.objects.filter(vendor_type="GARBAGE_COLLECTION").exists()


def test_old_records_of_chosen_events_go(boss: Client, alice: User) -> None:
    old = timezone.now() - timedelta(days=40)
    for operation, kind in (("create", "artifact"), ("create", "project"), ("pull", "artifact")):
        AuditLog.objects.create(username="alice", operation=operation, resource_type=kind, resource="x", op_time=old)
    wanted = {"number": "30", "unit": "24", "events": ["create_artifact", "other"]}
    assert boss.post("/clean-up/log-rotation/dry-run/", wanted).status_code == 302
    run_everything()
    assert AuditLog.objects.filter(resource="x").count() == 3
    assert boss.post("/clean-up/log-rotation/run/", wanted).status_code == 302
    run_everything()
    assert [row.operation for row in AuditLog.objects.filter(resource="x")] == ["pull"]
    page = boss.get("/clean-up/log-rotation/").content.decode()
    assert page.count("2 records") == 2
    mistakes: tuple[dict[str, Any], ...] = ({"number": "0"}, {"number": "10001"}, {"events": []}, {"events": ["all"]})
    for wrong in mistakes:
        assert boss.post("/clean-up/log-rotation/run/", {**wanted, **wrong}).status_code == 200
    assert Execution.objects.count() == 2
    assert boss.post("/clean-up/log-rotation/schedule/", {**wanted, "period": "Weekly"}).status_code == 302
    schedule = Schedule.objects.get(vendor_type="PURGE_AUDIT_LOG")
    assert schedule.extra_attrs == {
        "audit_retention_hour": 720,
        "include_event_types": "create_artifact,other",
        "dry_run": False,
    }
    page = boss.get("/clean-up/log-rotation/").content.decode()
    assert "<dt>Records kept for</dt><dd>30 days</dd>" in page
    assert "Artifact: Create, Everything but artifacts" in page


def test_the_storage_is_checked_and_what_is_set_aside_is_removed_after_a_question(
    boss: Client, library: Project, blob_store: BlobStore, tmp_path: Path
) -> None:
    owner, pushed = client_for(library.owner), image("kept")
    push(owner, "library/app:v1", pushed)
    layer = pushed.blobs[1].digest
    spoil(tmp_path / "registry", layer)
    assert "Nothing is in quarantine." in boss.get("/clean-up/storage/quarantine/").content.decode()
    for path, state in (("dry-run", "none"), ("run", "damaged")):
        assert boss.get(f"/clean-up/storage/{path}/").status_code == 200
        assert boss.post(f"/clean-up/storage/{path}/", {}).status_code == 302
        run_everything()
        assert Blob.objects.get(digest=layer).status == state
    page = boss.get("/clean-up/storage/").content.decode()
    assert "2 blobs, " in page
    assert page.count("1 fault") == 2
    assert "1 fault, 1 set aside" in page
    task = Task.objects.latest("pk")
    log = boss.get(f"/clean-up/storage/{task.execution_id}/log/{task.pk}/").content.decode()
    assert f"damaged {layer}" in log
    assert "held by library/app" in log

    page = boss.get("/clean-up/storage/quarantine/").content.decode()
    assert layer in page
    assert "library/app" in page
    chosen = {"_selected_action": [layer, "sha256:0"]}
    for body in (chosen, {"all": "yes"}):
        asked = boss.post("/clean-up/storage/quarantine/", body).content.decode()
        assert "Remove what is in quarantine?" in asked
        assert f'<input type="hidden" name="_selected_action" value="{layer}">' in asked
        assert list(blob_store.aside()), "asking removes nothing"
    boss.post("/clean-up/storage/quarantine/", {**chosen, "confirmed": "yes"})
    assert not list(blob_store.aside())
    assert AuditLog.objects.get(resource="quarantine").username == "admin"

    push(owner, "library/app:v1", pushed)
    boss.post("/clean-up/storage/run/", {"quick": "on"})
    run_everything()
    assert Task.objects.latest("pk").status == Status.SUCCESS, "a push has healed it"
    assert boss.post("/clean-up/storage/schedule/", {"period": "Weekly", "quick": "on"}).status_code == 302
    schedule = Schedule.objects.get(vendor_type="CHECK_STORAGE")
    assert schedule.extra_attrs == {"quick": True, "dry_run": False}
    assert "<dt>Looked at</dt><dd>sizes only</dd>" in boss.get("/clean-up/storage/").content.decode()


def test_a_run_is_stopped(boss: Client) -> None:
    boss.post("/clean-up/run/", {"workers": "1"})
    run = Execution.objects.get()
    assert "Stop executions?" in boss.post(
        "/clean-up/", {"action": "stop_chosen", "_selected_action": str(run.pk)}
    ).content.decode()  # fmt: skip
    boss.post("/clean-up/", {"action": "stop_chosen", "_selected_action": str(run.pk), "confirmed": "yes"})
    run.refresh_from_db()
    assert run.status == Status.STOPPED


PAGES = ("", "run/", "dry-run/", "schedule/", "preview/", "artifacts/library/app/")


BELOW = [f"{below}/{page}" for below in ("log-rotation", "storage") for page in PAGES[:4]]


@pytest.mark.parametrize("page", [*PAGES, *BELOW, "storage/quarantine/"])
def test_only_administrators_clean_up(alice: User, signed_in: SignedIn, page: str) -> None:
    for who, status in ((alice, 403), (None, 302)):
        assert signed_in(who).get(f"/clean-up/{page}").status_code == status
        assert signed_in(who).post(f"/clean-up/{page}", {"workers": "1"}).status_code == status
    assert not Execution.objects.exists()
