"""What webhooks are told of replication."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harborsite.jobs import engine, runner
from harborsite.jobs.models import Status, Task
from projects.models import Project, User, WebhookPolicy
from projects.webhooks import events
from replication.models import Registry
from replication.services import executions, policies
from tests import images
from tests.receiver import Receiver, receiving
from tests.replication.conftest import carry_out, push_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]


@pytest.fixture
def receiver(library: Project) -> Iterator[Receiver]:
    with receiving() as receiver:
        WebhookPolicy.objects.create(
            project=library,
            name="hook",
            event_types=["REPLICATION"],
            targets=[{"type": "http", "address": receiver.url}],
        )
        events.forget()
        yield receiver
    events.forget()


def deliver() -> None:
    for task in Task.objects.filter(vendor_type="WEBHOOK", status=Status.PENDING).order_by("pk"):
        runner.run(task.pk)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body)["event_data"]["replication"] for _, body in receiver.got]


def rule(admin: User, registry: Registry, **changes: Any) -> Any:
    fields = {"name": "rule", "description": "to the mirror", "enabled": True, "override": True, **changes}
    return policies.create_policy(description=policies.Description(**fields), actor=admin)


def test_a_push_to_elsewhere_is_told_when_it_begins_and_ends(
    admin: User, library: Project, distribution: str, receiver: Receiver
) -> None:
    registry = Registry.objects.create(name="mirror", type="docker-registry", url=f"http://{distribution}")
    push_here(library, "library/told/app", ("v1",), images.image("told"))
    policy = rule(
        admin,
        registry,
        dest_registry=registry.pk,
        dest_namespace="copies",
        dest_namespace_replace_count=1,
        filters=[{"type": "name", "value": "library/told/*"}],
    )
    execution = carry_out(executions.start(policy=policy, operator="bob"))
    deliver()
    begun, done = told(receiver)
    assert json.loads(receiver.got[0][1])["operator"] == "bob"
    assert begun["job_status"] == "Running"
    assert "successful_artifact" not in begun
    assert done == {
        "harbor_hostname": "testserver",
        "job_status": "Success",
        "description": "to the mirror",
        "artifact_type": "artifact",
        "authentication_type": "",
        "override_mode": True,
        "trigger_type": "manual",
        "policy_creator": "admin",
        "execution_timestamp": int(execution.start_time.timestamp()),
        "src_resource": {"registry_type": "harbor", "endpoint": "http://testserver", "namespace": "library"},
        "dest_resource": {
            "registry_name": "mirror",
            "registry_type": "docker-registry",
            "endpoint": f"http://{distribution}",
            "namespace": "copies/told",
        },
        "successful_artifact": [
            {
                "type": "artifact",
                "status": "Success",
                "name_tag": "told/app [1 item(s) in total]",
                "references": ["v1"],
            }
        ],
        "execution_id": execution.pk,
        "task_id": execution.tasks.get().pk,
    }


def test_a_pull_from_elsewhere_is_told_to_the_project_it_goes_to(
    admin: User, library: Project, distribution: str, receiver: Receiver
) -> None:
    here = Registry.objects.create(name="source", type="docker-registry", url=f"http://{distribution}")
    push_here(library, "library/round/app", ("v1",), images.image("round"))
    filters = [{"type": "name", "value": "library/round/*"}]
    out = rule(admin, here, name="out", dest_registry=here.pk, filters=filters)
    carry_out(executions.start(policy=out))
    back = rule(admin, here, src_registry=here.pk, dest_namespace="library/back", filters=filters)
    carry_out(executions.start(policy=back))
    deliver()
    done = told(receiver)[-1]
    assert (done["src_resource"]["registry_name"], done["src_resource"]["namespace"]) == ("source", "library/round")
    assert done["dest_resource"]["namespace"] == "library"


def test_a_task_that_failed_is_told_with_what_it_did_not_copy(
    admin: User, library: Project, receiver: Receiver
) -> None:
    registry = Registry.objects.create(name="mirror", type="docker-registry", url="http://169.254.169.254")
    push_here(library, "library/lost/app", ("v1",), images.image("lost"))
    policy = rule(admin, registry, dest_registry=registry.pk, filters=[{"type": "name", "value": "library/lost/*"}])
    assert carry_out(executions.start(policy=policy)).status == Status.ERROR
    deliver()
    done = told(receiver)[-1]
    assert done["job_status"] == "Error"
    (failed,) = done["failed_artifact"]
    assert (failed["status"], failed["references"]) == ("Error", ["v1"])


def test_a_task_that_is_stopped_while_it_waits_is_told(
    admin: User, library: Project, distribution: str, receiver: Receiver
) -> None:
    registry = Registry.objects.create(name="mirror", type="docker-registry", url=f"http://{distribution}")
    push_here(library, "library/halted/app", ("v1",), images.image("halted"))
    policy = rule(admin, registry, dest_registry=registry.pk, filters=[{"type": "name", "value": "library/halted/*"}])
    execution = executions.start(policy=policy)
    runner.launch(execution.pk)
    engine.stop(execution=execution)
    deliver()
    assert [each["job_status"] for each in told(receiver)] == ["Stopped"]
