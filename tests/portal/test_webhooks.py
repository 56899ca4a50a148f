"""The Webhooks tab."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import AuditLog
from harborsite.jobs import engine, runner
from harborsite.jobs.kinds import REPLICATION, WEBHOOK
from harborsite.jobs.models import Execution, Status, Task
from projects.models import Project, User, WebhookPolicy
from projects.services.settings import change_settings
from projects.webhooks import Event, notify, policies
from replication.models import Registry, ReplicationPolicy
from tests.portal.conftest import SignedIn
from tests.receiver import receiving
from tests.test_outbound import LOOPBACK, allow

People = dict[str, User | None]
TAB = "/projects/library/webhooks/"
MOST_QUERIES = 12
HEADER = "Bearer canary-31"


@pytest.fixture
def owner(alice: User, library: Project, signed_in: SignedIn) -> Client:
    return signed_in(alice)


def entered(**changes: Any) -> dict[str, Any]:
    fields = {"name": "ci", "notify_type": "http", "payload_format": "Default", "event_types": ["PUSH_ARTIFACT"]}
    return {**fields, "address": "http://ci.example.com/hook", "verify": "on", "enabled": "on", **changes}


def hook(project: Project, **changes: Any) -> WebhookPolicy:
    target = {"type": "http", "address": "http://ci.example.com/hook", "payload_format": "Default"}
    fields = {"name": "ci", "event_types": ["PUSH_ARTIFACT"], "targets": [{**target, "auth_header": HEADER}]}
    return WebhookPolicy.objects.create(project=project, **{**fields, **changes})


def delivery(policy: WebhookPolicy, status: Status = Status.RUNNING) -> Execution:
    told = {"event_type": "PUSH_ARTIFACT", "payload": '{"a":"b"}', "address": "http://ci.example.com/hook"}
    run = engine.start(vendor_type=WEBHOOK, vendor_id=policy.pk, extra_attrs=told)
    Execution.objects.filter(pk=run.pk).update(status=status)
    Task.objects.filter(execution=run).update(status=status)
    return run


@pytest.mark.django_db(transaction=True)
def test_a_webhook_is_made_told_and_followed_to_the_log(
    owner: Client, library: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way by pages, to a real receiver."""
    allow(monkeypatch, *LOOPBACK)
    assert "No webhook yet." in owner.get(TAB).content.decode()
    with receiving() as receiver:
        made = owner.post(f"{TAB}new/", entered(address=receiver.url, auth_header=HEADER), follow=True)
        policy = WebhookPolicy.objects.get()
        assert made.redirect_chain == [(f"{TAB}{policy.pk}/", 302)]
        notify(event=Event.PUSH_ARTIFACT, project_id=library.pk, operator="alice", data={"resources": []})
        run = policies.executions(policy).get()
        runner.run(run.tasks.get().pk)
        assert receiver.got[0][0]["Authorization"] == HEADER
    shown = owner.get(f"{TAB}{policy.pk}/").content.decode()
    assert "Artifact pushed" in shown
    assert "Success" in shown
    page = owner.get(f"{TAB}{policy.pk}/{run.pk}/").content.decode()
    assert "&quot;PUSH_ARTIFACT&quot;" in page
    assert "data-copy=" in page
    log = owner.get(f"{TAB}{policy.pk}/{run.pk}/log/{run.tasks.get().pk}/").content.decode()
    assert "the address answers 200" in log
    assert "Success" in owner.get(TAB).content.decode()


def test_everything_entered_is_kept_and_the_header_never_shown(owner: Client) -> None:
    form = entered(
        description="Tells the builds", payload_format="CloudEvents", event_types=["PUSH_ARTIFACT", "QUOTA_WARNING"]
    )
    form.pop("verify")
    owner.post(f"{TAB}new/", {**form, "auth_header": HEADER})
    policy = WebhookPolicy.objects.get()
    (target,) = policy.targets
    assert target == {
        "type": "http",
        "address": form["address"],
        "auth_header": HEADER,
        "skip_cert_verify": True,
        "payload_format": "CloudEvents",
    }
    assert policy.event_types == form["event_types"]
    assert AuditLog.objects.filter(resource_type="webhook", resource="ci").count() == 1
    for below in ("", f"{policy.pk}/", f"{policy.pk}/edit/"):
        assert "canary" not in owner.get(f"{TAB}{below}").content.decode(), below
    again = dict(WebhookPolicy.objects.values("name", "description", "event_types", "targets", "enabled").get())
    owner.post(f"{TAB}{policy.pk}/edit/", form)
    assert again == WebhookPolicy.objects.values("name", "description", "event_types", "targets", "enabled").get()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"description": "same place"}, True),
        ({"address": "http://elsewhere.example.com/"}, False),
        ({"verify": ""}, False),
        ({"forget_header": "on"}, False),
        ({"notify_type": "slack"}, False),
    ],
)
def test_the_header_never_goes_elsewhere(changes: dict[str, str], kept: bool, owner: Client, library: Project) -> None:
    policy = hook(library)
    owner.post(f"{TAB}{policy.pk}/edit/", entered(**changes))
    policy.refresh_from_db()
    assert (policy.targets[0].get("auth_header") == HEADER) == kept
    for name, value in changes.items():
        if name in {"description", "address"}:
            assert value in {policy.description, policy.targets[0]["address"]}


def test_targets_and_events_that_only_the_api_gives_survive_the_form(owner: Client, library: Project) -> None:
    second = {"type": "slack", "address": "https://hooks.example.com/x", "auth_header": "k"}
    policy = hook(library, event_types=["PUSH_ARTIFACT", "SCANNING_FAILED"])
    policy.targets.append(second)
    policy.save()
    assert "Scan failed" in owner.get(f"{TAB}{policy.pk}/edit/").content.decode()
    assert "Scan failed" not in owner.get(f"{TAB}new/").content.decode()
    owner.post(f"{TAB}{policy.pk}/edit/", entered(event_types=["PUSH_ARTIFACT", "SCANNING_FAILED"]))
    policy.refresh_from_db()
    assert policy.targets[1] == second
    assert policy.event_types == ["PUSH_ARTIFACT", "SCANNING_FAILED"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "This field is required."),
        ({"event_types": []}, "This field is required."),
        ({"event_types": ["MOON_LANDING"]}, "Select a valid choice"),
        ({"address": "ftp://ci.example.com/"}, "invalid address of a webhook"),
        ({"auth_header": "a\x07b"}, "invalid auth header of a webhook"),
        ({"notify_type": "pigeon"}, "Select a valid choice"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, owner: Client
) -> None:
    assert reason in owner.post(f"{TAB}new/", entered(**changes)).content.decode()
    assert not WebhookPolicy.objects.exists()


def test_a_name_is_taken_once(owner: Client, library: Project) -> None:
    hook(library)
    assert "already exists" in owner.post(f"{TAB}new/", entered()).content.decode()


def test_webhooks_are_switched_and_deleted_and_busy_ones_stay(owner: Client, library: Project) -> None:
    busy, free = hook(library), hook(library, name="spare")
    run = delivery(busy)
    both = {"_selected_action": [busy.pk, free.pk], "index": "0"}
    owner.post(TAB, {"action": "disable", **both})
    assert not WebhookPolicy.objects.filter(enabled=True).exists()
    owner.post(TAB, {"action": "enable", **both})
    assert WebhookPolicy.objects.filter(enabled=True).count() == 2
    assert "Delete webhooks?" in owner.post(TAB, {"action": "delete_chosen", **both}).content.decode()
    assert WebhookPolicy.objects.count() == 2
    gone = owner.post(TAB, {"action": "delete_chosen", "confirmed": "yes", **both}, follow=True).content.decode()
    assert "the policy has deliveries under way, stop them first" in gone
    assert list(WebhookPolicy.objects.all()) == [busy]
    owner.post(f"{TAB}{busy.pk}/{run.pk}/stop/")
    assert run.tasks.get().stop_requested


def test_a_failed_delivery_is_tried_again(owner: Client, library: Project) -> None:
    policy = hook(library)
    run = delivery(policy, Status.ERROR)
    owner.post(
        f"{TAB}{policy.pk}/{run.pk}/",
        {"action": "retry_chosen", "_selected_action": [run.tasks.get().pk], "index": "0"},
    )
    assert run.tasks.get().status == Status.PENDING


def test_deliveries_are_filtered_by_event_and_by_how_they_went(owner: Client, library: Project) -> None:
    policy = hook(library)
    run = delivery(policy, Status.ERROR)
    page = f"{TAB}{policy.pk}/"
    for asked, found in (
        *(("event=PUSH_ARTIFACT", True), ("event=PULL_ARTIFACT", False), ("status=Error", True)),
        *(("status=Success", False), (f"q={run.pk}", True), ("q=0", False)),
    ):
        assert (f"{page}{run.pk}/" in owner.get(f"{page}?{asked}").content.decode()) == found, asked


def test_maintainers_look_and_change_nothing(people: People, library: Project, signed_in: SignedIn) -> None:
    policy = hook(library)
    run = delivery(policy)
    client, one = signed_in(people["maintainer"]), f"{TAB}{policy.pk}/"
    for address in (TAB, one, f"{one}{run.pk}/", f"{one}{run.pk}/log/{run.tasks.get().pk}/"):
        page = client.get(address)
        assert page.status_code == 200, address
        assert 'name="action"' not in page.content.decode(), address
        assert "canary" not in page.content.decode(), address
    assert "edit/" not in client.get(one).content.decode()
    for address in (f"{TAB}new/", f"{one}edit/", f"{one}test/", f"{one}{run.pk}/stop/"):
        assert client.get(address).status_code == client.post(address, entered()).status_code == 403, address
    chosen = {"_selected_action": [policy.pk], "confirmed": "yes", "index": "0"}
    for action in ("delete_chosen", "disable"):
        client.post(TAB, {"action": action, **chosen})
    client.post(one, {"action": "stop_chosen", **chosen, "_selected_action": [run.pk]})
    Task.objects.update(status=Status.ERROR)
    client.post(f"{one}{run.pk}/", {"action": "retry_chosen", **chosen, "_selected_action": [run.tasks.get().pk]})
    task = run.tasks.get()
    assert (task.stop_requested, task.status) == (False, Status.ERROR)
    assert WebhookPolicy.objects.get().enabled


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["project admin", "admin"])
def test_a_test_goes_the_way_of_every_delivery(
    who: str, people: People, library: Project, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked first, then signed, sent, recorded and listed: also of a webhook that is not switched on yet."""
    allow(monkeypatch, *LOOPBACK)
    with receiving() as receiver:
        target = {"type": "http", "address": receiver.url, "auth_header": HEADER, "payload_format": "Default"}
        policy = hook(library, targets=[target], event_types=["QUOTA_WARNING", "PUSH_ARTIFACT"], enabled=False)
        client, one = signed_in(people[who]), f"{TAB}{policy.pk}/"
        assert f"{one}test/" in client.get(one).content.decode()
        question = client.get(f"{one}test/").content.decode()
        assert receiver.url in question
        assert "canary" not in question
        assert Execution.objects.count() == len(receiver.got) == 0
        sent = client.post(f"{one}test/", {"event": "PUSH_ARTIFACT"})
        run = policies.executions(policy).get()
        assert sent["Location"] == f"{one}{run.pk}/"
        runner.run(run.tasks.get().pk)
    ((headers, body),) = receiver.got
    assert headers["Authorization"] == HEADER
    assert headers["X-Harborsite-Signature"] == f"sha256={hmac.new(HEADER.encode(), body, 'sha256').hexdigest()}"
    told, user = receiver.json(), people[who]
    assert user
    assert (told["type"], told["operator"]) == ("PUSH_ARTIFACT", user.username)
    assert told["event_data"]["resources"][0]["resource_url"] == "testserver/library/sample:test"
    assert AuditLog.objects.filter(operation="test", resource_type="webhook", resource="ci").count() == 1
    listed = client.get(one).content.decode()
    assert 'Artifact pushed <span class="badge">Test</span>' in listed
    assert "Success" in listed


def test_every_event_can_be_tried_in_every_format(owner: Client, library: Project) -> None:
    slack = {"type": "slack", "address": "https://hooks.example.com/x"}
    cloud = {"type": "http", "address": "https://ci.example.com/", "payload_format": "CloudEvents"}
    policy = hook(library, event_types=Event.values, targets=[slack, cloud])
    for event in Event.values:
        assert owner.post(f"{TAB}{policy.pk}/test/", {"event": event}).status_code == 302, event
        first, second = policies.executions(policy).order_by("pk").reverse()[:2][::-1]
        assert (first.vendor_type, second.vendor_type) == ("SLACK", "WEBHOOK")
        assert json.loads(second.extra_attrs["payload"])["data"]


@pytest.mark.django_db(transaction=True)
def test_a_test_that_cannot_be_is_refused_with_the_reason(
    owner: Client, admin: User, library: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"type": "http", "address": "http://169.254.169.254/latest/", "payload_format": "Default"}
    policy = hook(library, targets=[target])
    test = f"{TAB}{policy.pk}/test/"
    assert "Select a valid choice" in owner.post(test, {"event": "PULL_ARTIFACT"}).content.decode()
    change_settings(values={"notification_enable": False}, actor=admin)
    assert "Webhooks are switched off" in owner.post(test, {"event": "PUSH_ARTIFACT"}).content.decode()
    assert not Execution.objects.exists()
    change_settings(values={"notification_enable": True}, actor=admin)
    shown = owner.post(test, {"event": "PUSH_ARTIFACT"})["Location"]
    allow(monkeypatch)
    runner.run(Task.objects.get().pk)
    assert Task.objects.get().status == Status.ERROR
    assert "Error" in owner.get(shown).content.decode()


@pytest.mark.parametrize(
    ("who", "status"), [("developer", 403), ("guest", 403), ("limited guest", 403), ("stranger", 404), ("nobody", 404)]
)
def test_for_everyone_else_there_is_no_such_tab(
    who: str, status: int, people: People, library: Project, signed_in: SignedIn
) -> None:
    policy = hook(library)
    run = delivery(policy)
    one = f"{TAB}{policy.pk}/"
    for address in (TAB, f"{TAB}new/", one, f"{one}edit/", f"{one}test/", f"{one}{run.pk}/", f"{one}{run.pk}/stop/"):
        assert signed_in(people[who]).get(address).status_code == status, address
        assert signed_in(people[who]).post(address, entered()).status_code == status, address


def test_webhooks_of_another_project_are_out_of_reach(owner: Client, commons: Project) -> None:
    """alice administers `library` alone; the number of another project's webhook is nothing there."""
    policy = hook(commons)
    run = delivery(policy)
    for below in ("", "edit/", "test/", f"{run.pk}/", f"{run.pk}/stop/"):
        assert owner.get(f"{TAB}{policy.pk}/{below}").status_code == 404, below
    chosen = {"action": "delete_chosen", "confirmed": "yes", "_selected_action": [policy.pk]}
    owner.post(TAB, chosen)
    assert WebhookPolicy.objects.filter(pk=policy.pk).exists()


def test_a_number_is_a_webhooks_own_run_only(owner: Client, library: Project) -> None:
    """An execution of another kind with the same id is not shown to project administrators."""
    policy = hook(library)
    other = engine.start(vendor_type=REPLICATION, vendor_id=policy.pk)
    assert owner.get(f"{TAB}{policy.pk}/{other.pk}/").status_code == 404


def test_what_people_typed_stays_text(owner: Client, library: Project) -> None:
    script = "<script>alert(1)</script>"
    target = {"type": "http", "address": f"http://x/{script}", "payload_format": "Default"}
    policy = hook(library, name=script, description=script, targets=[target])
    run = delivery(policy)
    Execution.objects.filter(pk=run.pk).update(
        extra_attrs={"event_type": script, "payload": script, "address": script}, status_message=script
    )
    for below in ("", f"{policy.pk}/", f"{policy.pk}/edit/", f"{policy.pk}/{run.pk}/"):
        shown = owner.get(f"{TAB}{below}").content.decode()
        assert script not in shown, below
        assert "&lt;script&gt;" in shown, below


def test_full_pages_cost_few_queries(admin: User, library: Project, signed_in: SignedIn) -> None:
    """As many for a hundred rows as for one: no list asks the database for each of its rows."""
    registry = Registry.objects.create(name="one", type="harbor", url="https://r")
    for number in range(20):
        delivery(hook(library, name=f"hook{number}"))
        rule = ReplicationPolicy.objects.create(name=f"rule{number}", dest_registry=registry)
        engine.start(vendor_type=REPLICATION, vendor_id=rule.pk)
    for _number in range(20):
        run = engine.start(vendor_type=REPLICATION, vendor_id=rule.pk)
        engine.finish_launch(execution=run, parameters=[{"operation": "copy"}] * 20)
    client, one = signed_in(admin), f"/replications/{rule.pk}/"
    client.get("/account/")  # notes once that somebody is here
    for address in (
        TAB,
        "/registries/",
        "/replications/",
        one,
        f"{one}{run.pk}/",
        "/events/",
        "/job-service/schedules/",
    ):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(address, {"page_size": 100}).status_code == 200
        assert len(asked) <= MOST_QUERIES, f"{address}: {len(asked)}"
