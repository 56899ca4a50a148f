"""Administration › Replications: rules and what they did."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from harborsite.jobs import dashboard, engine
from harborsite.jobs.kinds import SCHEDULER
from harborsite.jobs.models import Execution, Schedule, Status, Task
from projects.models import Project, User
from replication.models import VENDOR_TYPE, Registry, ReplicationPolicy
from tests import images
from tests.replication.conftest import carry_out, push_here

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def boss(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def registry() -> Registry:
    return Registry.objects.create(name="elsewhere", type="docker-registry", url="http://127.0.0.1:9")


def entered(other: Registry, **changes: Any) -> dict[str, Any]:
    fields = {"name": "nightly", "mode": "push", "registry": other.pk, "tag_decoration": "matches"}
    fields |= {"label_decoration": "matches", "flattening": "1", "trigger": "manual", "override": "on", "enabled": "on"}
    return {**fields, **changes}


def rule(registry: Registry, **changes: Any) -> ReplicationPolicy:
    return ReplicationPolicy.objects.create(**{"name": "nightly", "dest_registry": registry, **changes})


@pytest.mark.django_db(transaction=True)
def test_a_rule_is_made_run_and_followed_to_the_log(boss: Client, library: Project, distribution: str) -> None:
    """The whole way by pages, to a real registry."""
    push_here(library, "library/portal/app", ("v1", "v2"), images.image("portal"))
    boss.post("/registries/new/", {"type": "docker-registry", "name": "real", "url": f"http://{distribution}"})
    form = entered(Registry.objects.get(), name_filter="library/portal/*", dest_namespace="copies")
    made = boss.post("/replications/new/", form, follow=True)
    policy = ReplicationPolicy.objects.get()
    page = f"/replications/{policy.pk}/"
    assert made.redirect_chain == [(page, 302)]
    assert "Repositories: library/portal/*" in made.content.decode()

    assert "Replicate now?" in boss.get(f"{page}start/").content.decode()
    assert not Execution.objects.filter(vendor_type=VENDOR_TYPE).exists()
    boss.post(f"{page}start/")
    run = carry_out(Execution.objects.get(vendor_type=VENDOR_TYPE))
    assert run.status == Status.SUCCESS
    shown = boss.get(page).content.decode()
    assert f"{page}{run.pk}/" in shown
    assert "100 %" in shown
    tasks = boss.get(f"{page}{run.pk}/").content.decode()
    for text in (
        "library/portal/app",
        "copies/portal/app",
        "2 items",
        "copy",
        "Artifacts",
    ):
        assert text in tasks, text
    task = run.tasks.get()
    assert "copying library/portal/app" in boss.get(f"{page}{run.pk}/log/{task.pk}/").content.decode()
    assert "Success" in boss.get("/replications/").content.decode()


def test_everything_entered_is_kept_and_shown_again(boss: Client, registry: Registry) -> None:
    form = entered(
        registry,
        mode="pull",
        description="From the office",
        name_filter="team/{a,b}/**",
        tag_decoration="excludes",
        tag_filter="*-dev",
        label_decoration="excludes",
        label_filter="broken\nold stuff\n",
        resource="image",
        dest_namespace="mirror",
        flattening="-1",
        trigger="scheduled",
        period="Custom",
        cron="0 30 2 * * *",
        speed="512",
        copy_by_chunk="on",
        single_active_replication="on",
    )
    del form["override"]
    boss.post("/replications/new/", form)
    policy = ReplicationPolicy.objects.get()
    assert (policy.src_registry, policy.dest_registry) == (registry, None)
    assert policy.filters == [
        {"type": "name", "value": "team/{a,b}/**"},
        {"type": "tag", "value": "*-dev", "decoration": "excludes"},
        {"type": "label", "value": ["broken", "old stuff"], "decoration": "excludes"},
        {"type": "resource", "value": "image"},
    ]
    assert (policy.dest_namespace_replace_count, policy.speed, policy.override) == (-1, 512, False)
    assert (policy.copy_by_chunk, policy.single_active_replication, policy.enabled) == (True, True, True)
    assert Schedule.objects.get(vendor_type=VENDOR_TYPE).cron == "0 30 2 * * *"
    page = f"/replications/{policy.pk}/"
    assert "paused" not in boss.get(page).content.decode()
    dashboard.steer(kind=SCHEDULER, action=dashboard.PAUSE, actor="tester")
    assert "paused" in boss.get(page).content.decode()

    address = f"/replications/{policy.pk}/edit/"
    again = boss.get(address).context["form"].initial
    assert again["label_filter"] == "broken\nold stuff"
    before = dict(ReplicationPolicy.objects.values().get())
    boss.post(address, form)
    after = dict(ReplicationPolicy.objects.values().get())
    assert {**before, "update_time": 0} == {**after, "update_time": 0}
    boss.post(address, {**form, "trigger": "manual", "speed": ""})
    policy.refresh_from_db()
    assert (policy.cron, policy.speed) == ("", 0)
    assert not Schedule.objects.filter(vendor_type=VENDOR_TYPE).exists()


def test_deletions_go_along_with_the_event_trigger_alone(boss: Client, registry: Registry) -> None:
    form = entered(registry, replicate_deletion="on")
    boss.post("/replications/new/", form)
    assert not ReplicationPolicy.objects.get().replicate_deletion
    boss.post("/replications/new/", {**form, "name": "mirror", "trigger": "event_based"})
    assert ReplicationPolicy.objects.get(name="mirror").replicate_deletion


def test_a_second_filter_of_a_type_survives_the_form(boss: Client, registry: Registry) -> None:
    """Only the REST API makes such rules."""
    second = {"type": "tag", "value": "*-rc", "decoration": "excludes"}
    policy = rule(registry, filters=[{"type": "tag", "value": "v*"}, second], dest_namespace_replace_count=5)
    boss.post(f"/replications/{policy.pk}/edit/", entered(registry, tag_filter="v2*", flattening="5"))
    policy.refresh_from_db()
    assert policy.filters == [{"type": "tag", "value": "v2*", "decoration": "matches"}, second]
    assert policy.dest_namespace_replace_count == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "This field is required."),
        ({"name_filter": "team/{a"}, "the pattern team/{a cannot be read"),
        ({"dest_namespace": "Not A Name"}, "invalid destination namespace"),
        ({"trigger": "scheduled", "period": "Custom", "cron": "every night"}, "invalid cron string"),
        ({"trigger": "scheduled", "period": "Custom", "cron": "0 * * * * *"}, "* is not allowed for the Minutes field"),
        ({"trigger": "event_based", "mode": "pull"}, "only what happens in this registry can trigger a policy"),
        ({"trigger": "event_based", "single_active_replication": "on"}, "exclude each other"),
        ({"speed": "0"}, "greater than or equal to 1"),
        ({"registry": "99"}, "Select a valid choice"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, boss: Client, registry: Registry
) -> None:
    shown = boss.post("/replications/new/", entered(registry, **changes)).content.decode()
    assert reason in shown
    assert not ReplicationPolicy.objects.exists()


def test_without_another_registry_the_form_leads_to_one(boss: Client) -> None:
    assert "There is no other registry yet." in boss.get("/replications/new/").content.decode()
    Registry.objects.create(name="elsewhere", type="docker-registry", url="http://127.0.0.1:9")
    assert "There is no other registry yet." not in boss.get("/replications/new/").content.decode()


def test_a_name_is_taken_once(boss: Client, registry: Registry) -> None:
    rule(registry)
    assert "already exists" in boss.post("/replications/new/", entered(registry)).content.decode()


def test_rules_are_switched_started_and_deleted_from_the_list(boss: Client, registry: Registry) -> None:
    first, second = rule(registry), rule(registry, name="weekly", enabled=False)
    both = {"_selected_action": [first.pk, second.pk], "index": "0"}
    assert "Replicate now?" in boss.post("/replications/", {"action": "replicate", **both}).content.decode()
    started = boss.post("/replications/", {"action": "replicate", "confirmed": "yes", **both}, follow=True)
    assert f"weekly: the policy {second.pk} is disabled" in started.content.decode()
    assert [run.vendor_id for run in Execution.objects.filter(vendor_type=VENDOR_TYPE)] == [first.pk]

    assert (
        "Delete replication rules?" in boss.post("/replications/", {"action": "delete_chosen", **both}).content.decode()
    )
    gone = boss.post("/replications/", {"action": "delete_chosen", "confirmed": "yes", **both}, follow=True)
    assert "in final status, stop them first" in gone.content.decode()
    assert list(ReplicationPolicy.objects.all()) == [first]
    boss.post("/replications/", {"action": "disable", **both})
    first.refresh_from_db()
    assert not first.enabled
    assert f"/replications/{first.pk}/start/" not in boss.get(f"/replications/{first.pk}/").content.decode()
    refused = boss.post(f"/replications/{first.pk}/start/", follow=True).content.decode()
    assert f"the policy {first.pk} is disabled" in refused
    boss.post("/replications/", {"action": "enable", **both})
    first.refresh_from_db()
    assert first.enabled


def test_a_run_moves_is_stopped_and_one_task_is_tried_again(boss: Client, registry: Registry) -> None:
    policy = rule(registry)
    run = engine.start(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
    copying = {"operation": "copy", "resource_type": "image", "src_resource": "a/b", "dst_resource": "c/b"}
    engine.finish_launch(execution=run, parameters=[copying, copying])
    half, waits = run.tasks.order_by("pk")
    Task.objects.filter(pk=half.pk).update(status=Status.RUNNING, done=30, total=60)
    page = f"/replications/{policy.pk}/{run.pk}/"
    shown = boss.get(page).content.decode()
    assert 'value="50"' in shown
    assert 'hx-trigger="every' in shown

    for asked, found in (
        ("resource=image", True),
        ("resource=artifact", False),
        ("status=Error", False),
        ("q=A/", True),
        ("q=c/b", True),
        ("q=c/a", False),
    ):
        assert ('value="50"' in boss.get(f"{page}?{asked}").content.decode()) == found, asked
    runs = f"/replications/{policy.pk}/"
    for asked, found in (("trigger__exact=MANUAL", True), ("trigger__exact=EVENT", False), ("status=Running", True)):
        assert (page in boss.get(f"{runs}?{asked}").content.decode()) == found, asked

    assert "Stop this execution?" in boss.get(f"{page}stop/").content.decode()
    boss.post(f"{page}stop/")
    half.refresh_from_db()
    waits.refresh_from_db()
    assert (half.stop_requested, waits.status) == (True, Status.STOPPED)
    again = {"action": "retry_chosen", "_selected_action": [waits.pk], "index": "0"}
    boss.post(page, again)
    waits.refresh_from_db()
    assert waits.status == Status.PENDING
    Task.objects.filter(pk=waits.pk).update(status=Status.ERROR)
    ReplicationPolicy.objects.update(enabled=False)
    assert "is disabled" in boss.post(page, again, follow=True).content.decode()


def test_an_empty_run_says_why_in_the_readers_language(
    boss: Client, admin: User, library: Project, registry: Registry
) -> None:
    policy = rule(registry, filters=[{"type": "name", "value": "library/nothing"}])
    run = carry_out(engine.start(vendor_type=VENDOR_TYPE, vendor_id=policy.pk))
    page = f"/replications/{policy.pk}/{run.pk}/"
    assert "no resources need to be replicated" in boss.get(page).content.decode()
    boss.cookies["django_language"] = "zh-hans"
    assert "没有需要复制的资源" in boss.get(page).content.decode()


def test_the_runs_of_another_rule_are_not_there(boss: Client, registry: Registry) -> None:
    first, second = rule(registry), rule(registry, name="other")
    run = engine.start(vendor_type=VENDOR_TYPE, vendor_id=second.pk)
    assert boss.get(f"/replications/{second.pk}/{run.pk}/").status_code == 200
    for below in ("", "stop/"):
        assert boss.get(f"/replications/{first.pk}/{run.pk}/{below}").status_code == 404
    assert boss.get("/replications/999/").status_code == 404


def test_what_people_typed_stays_text(boss: Client, registry: Registry) -> None:
    script = "<script>alert(1)</script>"
    policy = rule(registry, name=script, description=script, filters=[{"type": "label", "value": [script]}])
    run = engine.start(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
    attrs = {"operation": script, "resource_type": script, "src_resource": script, "dst_resource": script}
    engine.finish_launch(execution=run, parameters=[attrs])
    Task.objects.update(status_message=script)
    for below in ("", f"{policy.pk}/", f"{policy.pk}/edit/", f"{policy.pk}/start/", f"{policy.pk}/{run.pk}/"):
        shown = boss.get(f"/replications/{below}").content.decode()
        assert script not in shown, below
        assert "&lt;script&gt;" in shown, below


def test_nobody_else_reaches_rules_and_runs(alice: User, registry: Registry) -> None:
    policy = rule(registry)
    run = engine.start(vendor_type=VENDOR_TYPE, vendor_id=policy.pk)
    member, stranger = Client(), Client()
    member.force_login(alice)
    one = f"/replications/{policy.pk}/"
    for address in ("/replications/", "/replications/new/", one, f"{one}edit/", f"{one}start/", f"{one}{run.pk}/"):
        body = {"action": "delete_chosen", "confirmed": "yes", "_selected_action": [policy.pk]}
        assert member.get(address).status_code == member.post(address, body).status_code == 403, address
        assert stranger.get(address).status_code == stranger.post(address, body).status_code == 302, address
    assert ReplicationPolicy.objects.get() == policy
    assert Execution.objects.filter(vendor_type=VENDOR_TYPE).get() == run
