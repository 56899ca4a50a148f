"""Webhooks: what is told to whom, in which shape, and what becomes of a delivery that fails."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from harborsite.jobs import engine, runner
from harborsite.jobs.models import Execution, Status, Task
from harborsite.jobs.runner import StopJob
from projects.models import Project, Quota, User, WebhookPolicy
from projects.webhooks import events
from registry.services import copies
from tests import images
from tests.api.calls import delete, get, made, names, post, put
from tests.api.test_policies import keep, run_everything
from tests.api.test_policies import policy as retention_policy
from tests.factories import client_for, error_code, make_project, push
from tests.images import image
from tests.receiver import Receiver, receiving
from tests.registry import wire
from tests.test_outbound import LOOPBACK, allow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(library: Project) -> Client:
    return client_for(library.owner)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    allow(monkeypatch, *LOOPBACK)
    events.forget()
    with receiving() as receiver:
        yield receiver
    events.forget()


def hook(address: str, *event_types: str, **target: Any) -> dict[str, Any]:
    return {
        "name": "hook",
        "enabled": True,
        "event_types": list(event_types or ("PUSH_ARTIFACT",)),
        "targets": [{"type": "http", "address": address, **target}],
    }


POLICIES = "/projects/library/webhook/policies"


def test_a_push_is_told(owner: Client, receiver: Receiver) -> None:
    secret = "Bearer abc"
    number = made(post(owner, POLICIES, hook(receiver.url, auth_header=secret)))
    pushed = image("told")
    push(owner, "library/alpine:v1", pushed)
    run_everything()
    headers, body = receiver.got[0]
    told = receiver.json()
    assert (told["type"], told["operator"]) == ("PUSH_ARTIFACT", "alice")
    assert told["event_data"]["resources"] == [
        {"digest": pushed.digest, "tag": "v1", "resource_url": "testserver/library/alpine:v1"}
    ]
    assert told["event_data"]["repository"]["repo_full_name"] == "library/alpine"
    assert headers["Authorization"] == secret
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Harborsite-Signature"] == f"sha256={signature}"
    (execution,) = get(owner, f"{POLICIES}/{number}/executions").json()
    assert (execution["status"], execution["extra_attrs"]["event_type"]) == ("Success", "PUSH_ARTIFACT")
    assert secret not in json.dumps(list(Task.objects.values_list("extra_attrs", flat=True)))
    last = get(owner, "/projects/library/webhook/lasttrigger").json()
    assert not last[0]["last_trigger_time"].startswith("0001")


def test_only_wanted_events_of_the_own_project_are_told(owner: Client, receiver: Receiver, carol: User) -> None:
    made(post(owner, POLICIES, hook(receiver.url, "DELETE_ARTIFACT", payload_format="CloudEvents")))
    push(owner, "library/alpine:v1", image("quiet"))
    make_project("mine", carol)
    push(client_for(carol), "mine/alpine:v1", image("quiet"))
    run_everything()
    assert receiver.got == []
    delete(owner, "/projects/library/repositories/alpine/artifacts/v1")
    run_everything()
    assert receiver.json()["type"] == "harbor.artifact.deleted"
    assert receiver.got[0][0]["Content-Type"] == "application/cloudevents+json"


def test_a_delivery_that_failed_is_tried_again(owner: Client, receiver: Receiver) -> None:
    receiver.status = 503
    made(post(owner, POLICIES, hook(receiver.url)))
    push(owner, "library/alpine:v1", image("late"))
    run_everything()
    assert Task.objects.get().status == Status.PENDING
    receiver.status = 204
    Task.objects.update(not_before=None)
    run_everything()
    assert Execution.objects.get().status == Status.SUCCESS
    assert len(receiver.got) == 2


def test_an_address_that_may_not_be_called_is_not_called(owner: Client) -> None:
    events.forget()
    made(post(owner, POLICIES, hook("http://169.254.169.254/latest/meta-data")))
    push(owner, "library/alpine:v1", image("ssrf"))
    run_everything()
    assert Execution.objects.get().status == Status.ERROR
    events.forget()


def test_slack_gets_blocks(owner: Client, receiver: Receiver) -> None:
    made(post(owner, POLICIES, hook(receiver.url, type="slack")))
    push(owner, "library/alpine:v1", image("slack"))
    run_everything()
    texts = [block["text"]["text"] for block in receiver.json()["blocks"]]
    assert "*event_type:* PUSH_ARTIFACT" in texts


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": []},
        {"event_types": []},
        {"event_types": ["DANCE"]},
        {"targets": [{"type": "pigeon", "address": "http://x"}]},
        {"targets": [{"type": "http", "address": "ftp://x"}]},
        {"targets": [{"type": "slack", "address": "http://x", "payload_format": "Default"}]},
        {"targets": [{"type": "http", "address": "http://x", "auth_header": "a\r\nX-Evil: 1"}]},
        {"name": ""},
    ],
)
def test_a_webhook_that_can_not_be_is_refused(owner: Client, wrong: dict[str, Any]) -> None:
    assert post(owner, POLICIES, {**hook("http://example.com"), **wrong}).status_code == 400
    assert not WebhookPolicy.objects.exists()


def test_a_webhook_is_its_projects_own(owner: Client, receiver: Receiver, carol: User) -> None:
    make_project("mine", carol)
    number = made(post(owner, POLICIES, hook(receiver.url)))
    push(owner, "library/alpine:v1", image("mine"))
    run_everything()
    task = Task.objects.get()
    foreign, client = f"/projects/mine/webhook/policies/{number}", client_for(carol)
    for path in (
        foreign,
        f"{foreign}/executions",
        f"{foreign}/executions/{task.execution_id}/tasks",
        f"{foreign}/executions/{task.execution_id}/tasks/{task.pk}/log",
        f"/projects/mine/webhook/jobs?policy_id={number}",
    ):
        assert get(client, path).status_code == 404, path
    assert put(client, foreign, hook("http://evil.example")).status_code == 404
    assert delete(client, foreign).status_code == 404
    assert names(get(owner, POLICIES)) == ["hook"]


def test_each_artifact_of_a_deleted_repository_is_told(owner: Client, library: Project, receiver: Receiver) -> None:
    pushed = {tag: image(tag) for tag in ("v1", "v2")}
    for tag, manifest in pushed.items():
        push(owner, f"library/alpine:{tag}", manifest)
    Project.objects.update(public=True)
    made(post(owner, POLICIES, hook(receiver.url, "DELETE_ARTIFACT")))
    assert delete(owner, "/projects/library/repositories/alpine").status_code == 200
    run_everything()
    told = receiver.all("DELETE_ARTIFACT")
    resources = [each["event_data"]["resources"] for each in told]
    assert sorted((only["tag"], only["digest"]) for (only,) in resources) == [
        (tag, manifest.digest) for tag, manifest in pushed.items()
    ]
    assert told[0]["event_data"]["repository"] == {
        "name": "alpine",
        "namespace": "library",
        "repo_full_name": "library/alpine",
        "repo_type": "public",
    }


def test_a_push_beyond_the_quota_is_told(owner: Client, library: Project, receiver: Receiver) -> None:
    made(post(owner, POLICIES, hook(receiver.url, "QUOTA_EXCEED")))
    manifest = image("too much")
    for blob in manifest.blobs:
        assert wire.put_blob(owner, "library/alpine", blob.data).status_code == 201
    used = Quota.objects.get().used
    Quota.objects.update(hard=used + 10)
    assert error_code(wire.put_manifest(owner, "library/alpine", "v1", manifest)) == "DENIED"
    more = b"more than ten bytes"
    assert error_code(wire.put_blob(owner, "library/alpine", more)) == "DENIED"
    run_everything()
    of_blob, of_manifest = sorted(receiver.all("QUOTA_EXCEED"), key=lambda each: "tag" in str(each))
    assert of_manifest["operator"] == "alice"
    data = of_manifest["event_data"]
    assert data["resources"] == [{"tag": "v1"}]
    assert data["repository"]["repo_full_name"] == "library/alpine"
    assert "will exceed the configured upper limit" in data["custom_attributes"]["Details"]
    assert of_blob["event_data"]["resources"] == [{"digest": images.digest_of(more)}]


def test_a_quota_that_fills_up_is_told(owner: Client, library: Project, receiver: Receiver) -> None:
    made(post(owner, POLICIES, hook(receiver.url, "QUOTA_WARNING", "QUOTA_EXCEED", payload_format="CloudEvents")))
    push(owner, "library/alpine:v1", image("small"))
    used = Quota.objects.get().used
    Quota.objects.update(hard=used * 10)
    push(owner, "library/alpine:v2", image("small"))
    Quota.objects.update(hard=used)
    pushed = image("small")
    push(owner, "library/alpine:v3", pushed)
    run_everything()
    (told,) = [json.loads(body) for _, body in receiver.got]
    assert (told["type"], told["operator"]) == ("harbor.quota.warned", "alice")
    assert told["data"]["resources"] == [{"digest": pushed.digest, "tag": "v3"}]
    assert told["data"]["custom_attributes"]["Details"].startswith("quota usage reach 85%: resource storage used ")


def test_a_mount_beyond_the_quota_is_told(owner: Client, library: Project, receiver: Receiver) -> None:
    manifest = image("mounted")
    push(owner, "library/alpine:v1", manifest)
    small = make_project("small", library.owner, quota=10)
    made(post(owner, "/projects/small/webhook/policies", hook(receiver.url, "QUOTA_EXCEED")))
    answer = owner.post(f"/v2/small/alpine/blobs/uploads/?mount={manifest.blobs[0].digest}&from=library/alpine")
    assert error_code(answer) == "DENIED"
    with pytest.raises(Exception, match="will exceed"):
        copies.copy(
            source=library.repositories.get().artifacts.get(),
            project=small,
            repository_name="small/copied",
            actor=library.owner,
        )
    run_everything()
    assert len(receiver.all("QUOTA_EXCEED")) == 2


def test_what_retention_deletes_is_told_once_for_each_repository(
    owner: Client, library: Project, receiver: Receiver
) -> None:
    for tag in ("v1", "v2", "v3"):
        push(owner, f"library/app:{tag}", image(tag))
    push(owner, "library/quiet:v1", image("quiet"))
    made(post(owner, POLICIES, hook(receiver.url, "TAG_RETENTION")))
    rule = keep("latestPushedK", 1)
    number = made(post(owner, "/retentions", retention_policy(library, rule)))
    made(post(owner, f"/retentions/{number}/executions", {"dry_run": True}))
    run_everything()
    made(post(owner, f"/retentions/{number}/executions", {"dry_run": False}))
    run_everything()
    run_everything()  # the deliveries
    (told,) = receiver.all("TAG_RETENTION")
    assert told["operator"] == "alice"
    (data,) = told["event_data"].values()
    deleted = data.pop("deleted_artifact")
    assert data == {
        "total": 3,
        "retained": 1,
        "harbor_hostname": "testserver",
        "project_name": "library",
        "retention_policy_id": number,
        "retention_rule": [
            {name: rule[name] for name in ("template", "params", "tag_selectors", "scope_selectors")},
        ],
        "result": "SUCCESS",
    }
    assert sorted(deleted, key=lambda each: str(each["name_tag"])) == [
        {"type": "image", "status": "SUCCESS", "name_tag": f"app:{tag}", "references": None} for tag in ("v1", "v2")
    ]


@pytest.mark.parametrize(("how", "result"), [(StopJob, "STOPPED"), (OSError, "ERROR")])
def test_what_a_retention_run_deleted_before_it_ended_is_told_and_the_rest_later(
    owner: Client,
    library: Project,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    how: type[Exception],
    result: str,
) -> None:
    for tag in ("v1", "v2", "v3", "v4"):
        push(owner, f"library/app:{tag}", image(tag))
    made(post(owner, POLICIES, hook(receiver.url, "TAG_RETENTION")))
    number = made(post(owner, "/retentions", retention_policy(library, keep("latestPushedK", 1))))
    asked: list[int] = []

    def check_stop(job: runner.Job) -> None:
        asked.append(1)
        if len(asked) == 4:  # the first stays, two are gone
            raise how

    monkeypatch.setattr(runner.Job, "check_stop", check_stop)
    made(post(owner, f"/retentions/{number}/executions", {"dry_run": False}))
    run_everything()
    run_everything()
    task = Task.objects.get(vendor_type="RETENTION")
    assert (task.extra_attrs["total"], task.extra_attrs["retained"]) == (4, 2)
    if how is StopJob:
        engine.retry(task=task)
    Task.objects.update(not_before=None)
    run_everything()
    run_everything()
    first, second = (next(iter(told["event_data"].values())) for told in receiver.all("TAG_RETENTION"))
    assert (first["result"], first["total"], first["retained"]) == (result, 4, 2)
    assert [each["name_tag"] for each in first["deleted_artifact"]] == ["app:v3", "app:v2"]
    assert (second["result"], second["total"], second["retained"]) == ("SUCCESS", 2, 1)
    assert [each["name_tag"] for each in second["deleted_artifact"]] == ["app:v1"]
