"""Who may do what by which request: every operation below a project for every role, and every number of another
project in every place where a request can have one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from harborsite.api import openapi
from harborsite.jobs.kinds import RETENTION, WEBHOOK
from harborsite.jobs.models import Execution, Status, Task
from projects.models import Member, Project, Robot, User
from projects.permissions import Role
from projects.services import labels, metadata
from projects.webhooks import policies as webhooks
from registry.models import Artifact, Repository, Tag
from registry.policies import immutability, retention
from tests.api.calls import API, JSON
from tests.factories import add, client_for, grant, make_project, make_robot, make_user, push
from tests.images import image
from tests.projects.test_permissions import TABLE

SELECTOR = [{"kind": "doublestar", "decoration": "matches", "pattern": "**"}]
REPOSITORIES = {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]}
RULE = {"template": "always", "params": {}, "tag_selectors": SELECTOR, "scope_selectors": REPOSITORIES}
TARGET = {"type": "http", "address": "http://10.1.2.3/", "auth_header": "", "payload_format": "",
          "skip_cert_verify": False}  # fmt: skip


@dataclass
class Furnished:
    """A project with one of everything: what stands for the parameters of a path."""

    project: Project
    ids: dict[str, Any] = field(default_factory=dict)


def furnish(project: Project) -> Furnished:
    owner, name = project.owner, project.name
    push(client_for(owner), f"{name}/of-{name}:v-{name}", image(name))
    metadata.add(project=project, values={"auto_scan": "true"}, actor=owner)
    webhook = webhooks.create_policy(
        project=project, name=name, description="", enabled=True, event_types=["PUSH_ARTIFACT"], targets=[TARGET],
        actor=owner,
    )  # fmt: skip
    policy = retention.create_policy(project=project, rules=[RULE], cron="", actor=owner)
    told, tidied = ran(WEBHOOK, webhook.pk), ran(RETENTION, policy.pk)
    rule = immutability.create_rule(
        project=project,
        tag_selectors=[{**SELECTOR[0], "pattern": "never"}],
        scope_selectors=REPOSITORIES,
        actor=owner,
    )
    label = labels.create_label(name=f"label-{name}", description="", color="#fff", project=project, actor=owner)
    return Furnished(
        project,
        {
            "project_name_or_id": name,
            "repository_name": f"of-{name}",
            "reference": f"v-{name}",
            "tag_name": f"v-{name}",
            "addition": "build_history",
            "report_id": "1",
            "meta_name": "auto_scan",
            "preheat_policy_name": "x",
            "mid": project.members.get(user=owner).pk,
            "robot_id": make_robot("ci", grant(name, "repository:pull"), project=project).pk,
            "label_id": label.pk,
            "immutable_rule_id": rule.pk,
            "webhook_policy_id": webhook.pk,
            "execution_id": told.pk,
            "task_id": told.tasks.get().pk,
            "id": policy.pk,
            "eid": tidied.pk,
            "tid": tidied.tasks.get().pk,
        },
    )


def ran(vendor_type: str, vendor_id: int) -> Execution:
    now = timezone.now()
    execution = Execution.objects.create(
        vendor_type=vendor_type, vendor_id=vendor_id, trigger="MANUAL", status=Status.SUCCESS, start_time=now,
        end_time=now,
    )  # fmt: skip
    Task.objects.create(execution=execution, vendor_type=vendor_type, status=Status.SUCCESS, start_time=now)
    return execution


def state() -> dict[str, Any]:
    """What no request of an outsider may change."""
    rows = {model: model._default_manager.count() for model in (Project, Repository, Artifact, Tag, Robot, Task)}
    return {
        **{model.__name__: count for model, count in rows.items()},
        "members": list(Member.objects.order_by("pk").values_list("pk", "role")),
        "settings": list(
            Project.objects.order_by("pk", "metadata__name").values_list("name", "public", "metadata__value")
        ),
        "status": list(Execution.objects.order_by("pk").values_list("pk", "status")),
    }


def operations() -> Iterator[tuple[str, str]]:
    for path, item in openapi.document()["paths"].items():
        for method in item.keys() - {"parameters"}:
            yield method.upper(), path


def ask(client: Client, method: str, path: str, body: Any = None, query: str = "") -> Any:
    """Send it, and take back what it did."""
    with transaction.atomic():
        answer = client.generic(
            method, f"{API}{path}{query}", json.dumps({} if body is None else body), content_type=JSON
        )
        transaction.set_rollback(True)
    return answer


def filled(path: str, ids: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), path)


@pytest.fixture
def ours(library: Project) -> Furnished:
    return furnish(library)


@pytest.fixture
def theirs(carol: User) -> Furnished:
    """Carol's own project, in which she may do everything."""
    return furnish(make_project("mine", carol))


# --- role by operation ----------------------------------------------------------------------------

# After FACTS, which names them by resource: what each operation below a project takes.
_ARTIFACT = "/repositories/{repository_name}/artifacts/{reference}"
_HOOK = "/webhook/policies/{webhook_policy_id}"
TAKES = {
    "GET ": "project:read",
    "PUT ": "project:update",
    "DELETE ": "project:delete",
    "GET /_deletable": "project:delete",
    "GET /summary": "project:read",
    "GET /metadatas": "metadata:list",
    "POST /metadatas": "metadata:create",
    "GET /metadatas/{meta_name}": "metadata:read",
    "PUT /metadatas/{meta_name}": "metadata:update",
    "DELETE /metadatas/{meta_name}": "metadata:delete",
    "GET /members": "member:list",
    "POST /members": "member:create",
    "GET /members/{mid}": "member:read",
    "PUT /members/{mid}": "member:update",
    "DELETE /members/{mid}": "member:delete",
    "GET /logs": "log:list",
    "GET /auditlog-exts": "log:list",
    "GET /repositories": "repository:list",
    "GET /repositories/{repository_name}": "repository:read",
    "PUT /repositories/{repository_name}": "repository:update",
    "DELETE /repositories/{repository_name}": "repository:delete",
    "GET /artifacts": "artifact:list",
    "GET /repositories/{repository_name}/artifacts": "artifact:list",
    "POST /repositories/{repository_name}/artifacts": "artifact:create",
    f"GET {_ARTIFACT}": "artifact:read",
    f"DELETE {_ARTIFACT}": "artifact:delete",
    f"GET {_ARTIFACT}/tags": "tag:list",
    f"POST {_ARTIFACT}/tags": "tag:create",
    f"DELETE {_ARTIFACT}/tags/{{tag_name}}": "tag:delete",
    f"GET {_ARTIFACT}/accessories": "accessory:list",
    f"POST {_ARTIFACT}/labels": "artifact-label:create",
    f"DELETE {_ARTIFACT}/labels/{{label_id}}": "artifact-label:delete",
    f"GET {_ARTIFACT}/additions/{{addition}}": "artifact-addition:read",
    f"GET {_ARTIFACT}/additions/vulnerabilities": "artifact-addition:read",
    f"POST {_ARTIFACT}/scan": "scan:create",
    f"POST {_ARTIFACT}/scan/stop": "scan:stop",
    f"GET {_ARTIFACT}/scan/{{report_id}}/log": "scan:read",
    "GET /scanner": "scanner:read",
    "PUT /scanner": "scanner:create",
    "GET /scanner/candidates": "scanner:create",
    "GET /immutabletagrules": "immutable-tag:list",
    "POST /immutabletagrules": "immutable-tag:create",
    "PUT /immutabletagrules/{immutable_rule_id}": "immutable-tag:update",
    "DELETE /immutabletagrules/{immutable_rule_id}": "immutable-tag:delete",
    "GET /webhook/policies": "notification-policy:list",
    "POST /webhook/policies": "notification-policy:create",
    f"GET {_HOOK}": "notification-policy:read",
    f"PUT {_HOOK}": "notification-policy:update",
    f"DELETE {_HOOK}": "notification-policy:delete",
    f"GET {_HOOK}/executions": "notification-policy:read",
    f"GET {_HOOK}/executions/{{execution_id}}/tasks": "notification-policy:read",
    f"GET {_HOOK}/executions/{{execution_id}}/tasks/{{task_id}}/log": "notification-policy:read",
    "GET /webhook/lasttrigger": "notification-policy:read",
    "GET /webhook/jobs": "notification-policy:list",
    "GET /webhook/events": "notification-policy:read",
    "GET /preheat/providers": "preheat-policy:list",
    "GET /preheat/policies": "preheat-policy:list",
    "GET /preheat/policies/{preheat_policy_name}": "preheat-policy:read",
    "PUT /preheat/policies/{preheat_policy_name}": "preheat-policy:update",
    "DELETE /preheat/policies/{preheat_policy_name}": "preheat-policy:delete",
}
# Outside of the project's path, but judged by its roles.
ALSO = {
    "GET /robots/{robot_id}": "robot:read",
    "PATCH /robots/{robot_id}": "robot:update",
    "DELETE /robots/{robot_id}": "robot:delete",
    "GET /labels/{label_id}": "label:read",
    "PUT /labels/{label_id}": "label:update",
    "DELETE /labels/{label_id}": "label:delete",
    "GET /retentions/{id}": "tag-retention:read",
    "PUT /retentions/{id}": "tag-retention:update",
    "DELETE /retentions/{id}": "tag-retention:delete",
    "GET /retentions/{id}/executions": "tag-retention:read",
    "POST /retentions/{id}/executions": "tag-retention:update",
    "PATCH /retentions/{id}/executions/{eid}": "tag-retention:update",
    "GET /retentions/{id}/executions/{eid}/tasks": "tag-retention:read",
    "GET /retentions/{id}/executions/{eid}/tasks/{tid}": "tag-retention:read",
}
_BELOW = "/projects/{project_name_or_id}"
ROWS = {
    **{(key.partition(" ")[0], _BELOW + key.partition(" ")[2]): action for key, action in TAKES.items()},
    **{(key.partition(" ")[0], key.partition(" ")[2]): action for key, action in ALSO.items()},
}


def test_every_operation_below_a_project_is_in_the_matrix() -> None:
    assert {each for each in operations() if each[1].startswith(_BELOW)} == {
        each for each in ROWS if each[1].startswith(_BELOW)
    }


def test_each_role_may_do_by_request_what_harbors_table_gives_it(ours: Furnished) -> None:
    wrong = []
    for role in Role:
        member = make_user(role.wire_name.lower())
        add(ours.project, member, role)
        client = client_for(member)
        for (method, path), action in ROWS.items():
            refused = ask(client, method, filled(path, ours.ids)).status_code == 403
            if refused is TABLE.get((role, action), False):
                wrong.append(f"{role.wire_name} {'may not' if refused else 'may'} {method} {path}")
    assert not wrong, "\n".join(wrong)


def test_strangers_and_visitors_may_do_nothing_in_a_private_project(ours: Furnished, carol: User) -> None:
    stranger, visitor = client_for(carol), Client()
    for method, path in ROWS:
        address = filled(path, ours.ids)
        assert ask(stranger, method, address).status_code == 403, (method, path)
        assert ask(visitor, method, address).status_code == 401, (method, path)


def test_an_administrator_is_refused_nothing(ours: Furnished, admin: User) -> None:
    client = client_for(admin)
    refused = {each for each in ROWS if ask(client, each[0], filled(each[1], ours.ids)).status_code in {401, 403}}
    assert not refused


# --- what belongs to another project --------------------------------------------------------------

# Names that mean the same in every project, and what is no id at all.
_NO_IDS = {"meta_name", "addition", "report_id", "preheat_policy_name"}
# Harbor answers with 200 where there is nothing to change or remove.
QUIET = {("PUT", f"{_BELOW}/members/{{mid}}"), ("DELETE", f"{_BELOW}/members/{{mid}}")}
# A repository that is not there has an empty list of artifacts, and copies go to new repositories.
NEW = {(method, f"{_BELOW}/repositories/{{repository_name}}/artifacts") for method in ("GET", "POST")}


def nested() -> Iterator[tuple[str, str, list[str]]]:
    """Operations with an id below another one."""
    for method, path in operations():
        names = re.findall(r"\{(\w+)\}", path)
        if path.startswith(("/projects/", "/retentions/")) and any(name not in _NO_IDS for name in names[1:]):
            yield method, path, names


def test_no_number_or_name_of_another_project_is_found_below_ones_own(
    ours: Furnished, theirs: Furnished, carol: User
) -> None:
    """Each place of each path with what belongs to the other project, and all places before it with one's own."""
    client, before, asked, wrong = client_for(carol), state(), 0, []
    for method, path, names in nested():
        for place in range(1, len(names)):
            if names[place] in _NO_IDS:
                continue
            ids = {name: (theirs if index < place else ours).ids[name] for index, name in enumerate(names)}
            asked += 1
            address = filled(path, ids)
            with_body = {"name": "x", "id": ids.get("label_id", 0), "role_id": 1, "action": "stop"}
            answer = client.generic(method, f"{API}{address}?from=mine/of-mine:v-mine", json.dumps(with_body), JSON)
            quiet = (method, path) in QUIET | NEW and answer.status_code in {200, 201}
            if answer.status_code != 404 and not quiet:
                wrong.append(f"{method} {address}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert asked > 40
    after = state()
    made = before["Repository"] + 1  # carol's copy of her own image to a new repository of her own
    assert after == {**before, "Repository": made, "Artifact": before["Artifact"] + 1, "Tag": before["Tag"] + 1}


def bodies(ours: Furnished) -> Iterator[tuple[str, str, Any, set[int]]]:
    """Requests to carol's own things that name things of the other project in their body or query."""
    other = ours.project
    robot = {
        "name": "r", "level": "project", "duration": -1,
        "permissions": [{"kind": "project", "namespace": other.name,
                         "access": [{"resource": "repository", "action": "pull"}]}],
    }  # fmt: skip
    policy = {"scope": {"level": "project", "ref": other.pk}, "rules": [RULE], "trigger": {"kind": "Schedule"}}
    rule = {"id": ours.ids["immutable_rule_id"], "tag_selectors": SELECTOR, "scope_selectors": REPOSITORIES}
    label = {"name": "x", "scope": "p", "project_id": other.pk}
    artifact = f"{_BELOW}/repositories/{{repository_name}}/artifacts/{{reference}}"
    yield "POST", f"{artifact}/labels", {"id": ours.ids["label_id"]}, {400, 404}
    yield "POST", f"{_BELOW}/repositories/new/artifacts?from=library/of-library:v-library", None, {403}
    yield "PUT", f"{_BELOW}/immutabletagrules/{{immutable_rule_id}}", rule, {400}
    yield "PUT", _BELOW, {"cve_allowlist": {"project_id": other.pk, "items": [{"cve_id": "CVE-1"}]}}, {400}
    yield "PUT", _BELOW, {"metadata": {"retention_id": str(ours.ids["id"])}}, {400}
    yield "PUT", f"{_BELOW}/metadatas/retention_id", {"retention_id": str(ours.ids["id"])}, {400}
    yield "GET", f"{_BELOW}/webhook/jobs?policy_id={ours.ids['webhook_policy_id']}", None, {404}
    yield "PUT", "/retentions/{id}", policy, {400}
    yield "POST", "/retentions", policy, {403}
    yield "POST", "/labels", label, {403}
    yield "GET", f"/labels?scope=p&project_id={other.pk}", None, {403}
    yield "GET", f"/robots?q=Level=project,ProjectID={other.pk}", None, {403}
    yield "POST", "/robots", robot, {403}
    yield "PUT", "/robots/{robot_id}", {**robot, "name": "robot$mine+ci"}, {400, 403}


def test_nothing_of_another_project_is_reached_by_what_a_request_says(
    ours: Furnished, theirs: Furnished, carol: User
) -> None:
    client, before = client_for(carol), state()
    for method, path, body, refusals in bodies(ours):
        content = "" if body is None else json.dumps(body)
        answer = client.generic(method, f"{API}{filled(path, theirs.ids)}", content, JSON)
        assert answer.status_code in refusals, (method, path, answer.status_code, answer.content)
    assert state() == before


def test_a_webhook_stays_where_it_is_whatever_its_body_says(ours: Furnished, theirs: Furnished, carol: User) -> None:
    address = filled(f"{_BELOW}{_HOOK}", theirs.ids)
    body = {"id": ours.ids["webhook_policy_id"], "project_id": ours.project.pk, "name": "taken", "enabled": True,
            "event_types": ["PUSH_ARTIFACT"], "targets": [TARGET]}  # fmt: skip
    assert client_for(carol).put(f"{API}{address}", body, JSON).status_code == 200
    found = client_for(carol).get(f"{API}{address}").json()
    assert (found["name"], found["project_id"]) == ("taken", theirs.project.pk)
    other = client_for(ours.project.owner).get(f"{API}{filled(f'{_BELOW}{_HOOK}', ours.ids)}").json()
    assert (other["name"], other["project_id"]) == ("library", ours.project.pk)
