"""Registries and replication through the REST API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from harborsite.jobs.models import Execution, Schedule, Status
from harborsite.sealing import unseal
from projects.models import Project, User
from replication.models import Registry, ReplicationPolicy
from tests import images
from tests.factories import ClientFor, error_code
from tests.replication.conftest import carry_out, push_here
from tests.test_outbound import Server, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]

SECRET = "canary-5f1d"
API = "/api/v2.0"


def call(client: Client, method: str, path: str, body: Any = None) -> Any:
    data = "" if body is None else json.dumps(body)
    return client.generic(method, f"{API}{path}", data, content_type="application/json")


@pytest.fixture
def boss(admin: User, client_for: ClientFor) -> Client:
    return client_for(admin)


@pytest.fixture
def elsewhere() -> Any:
    """A registry that wants basic credentials, and remembers who presented which."""
    server = Server()
    server.pages["/v2/"] = lambda request: page(
        b"{}", status=200 if request.headers.get("Authorization") else 401, WWW_Authenticate='Basic realm="x"'
    )(request)
    server.start()
    yield server
    server.stop()


def described(server: Server, **changes: Any) -> dict[str, Any]:
    credential = {"type": "basic", "access_key": "robot", "access_secret": SECRET}
    return {"name": "elsewhere", "type": "docker-registry", "url": server.url, "credential": credential, **changes}


@pytest.fixture
def registry(boss: Client, elsewhere: Server) -> Registry:
    answer = call(boss, "POST", "/registries", described(elsewhere))
    assert answer.status_code == 201, answer.content
    made = Registry.objects.get()
    assert answer["Location"] == f"{API}/registries/{made.pk}"
    return made


def rule(registry: Registry, **changes: Any) -> dict[str, Any]:
    return {"name": "rule", "dest_registry": {"id": registry.pk}, "enabled": True, "override": True, **changes}


def test_the_secret_is_sealed_and_in_no_answer_and_no_log(boss: Client, registry: Registry) -> None:
    assert unseal(registry.access_secret) == SECRET
    assert SECRET not in registry.access_secret
    call(boss, "POST", "/replication/policies", rule(registry))
    policy = ReplicationPolicy.objects.get()
    for path in (f"/registries/{registry.pk}", "/registries", f"/registries/{registry.pk}/info", "/auditlog-exts"):
        assert SECRET.encode() not in call(boss, "GET", path).content
    for path in ("/replication/policies", f"/replication/policies/{policy.pk}"):
        assert SECRET.encode() not in call(boss, "GET", path).content
    assert not any(SECRET in json.dumps(row.data) for row in AuditLog.objects.all())
    shown = call(boss, "GET", f"/registries/{registry.pk}").json()
    assert shown["credential"] == {"type": "basic", "access_key": "robot", "access_secret": "*****"}
    assert call(boss, "GET", "/registries?q=access_secret=~a").json() == call(boss, "GET", "/registries").json()


@pytest.mark.parametrize("change", [{"insecure": True}, {"url": None}])
def test_a_secret_never_goes_to_another_place_or_under_weaker_checks(
    boss: Client, registry: Registry, elsewhere: Server, change: dict[str, Any]
) -> None:
    if "url" in change:
        change = {"url": f"http://localhost:{elsewhere.port}"}
    elsewhere.seen.clear()
    answer = call(boss, "PUT", f"/registries/{registry.pk}", change)
    assert answer.status_code in {200, 400}
    sent = [headers.get("Authorization", "") for _, _, headers in elsewhere.seen]
    assert "Basic cm9ib3Q6Y2FuYXJ5LTVmMWQ=" not in sent
    call(boss, "PUT", f"/registries/{registry.pk}", {"description": "same place", "access_secret": "*****"})
    registry.refresh_from_db()
    assert registry.description in {"", "same place"}


def test_a_ping_by_id_asks_the_stored_address_alone(boss: Client, registry: Registry, elsewhere: Server) -> None:
    other = Server()
    other.start()
    body = {"id": registry.pk, "url": other.url, "insecure": True}
    assert call(boss, "POST", "/registries/ping", body).status_code == 200
    assert other.seen == []
    assert elsewhere.seen
    other.stop()


def test_a_ping_needs_a_type_and_an_address(boss: Client, elsewhere: Server) -> None:
    assert error_code(call(boss, "POST", "/registries/ping", {"type": "harbor"})) == "BAD_REQUEST"
    body = {"type": "docker-registry", "url": elsewhere.url}
    assert call(boss, "POST", "/registries/ping", body).status_code == 200


@pytest.mark.parametrize("path", ["", "/below"])
def test_an_address_may_be_written_in_capitals(boss: Client, elsewhere: Server, path: str) -> None:
    url = f"http://LOCALHOST:{elsewhere.port}{path}"
    elsewhere.pages[f"{path}/v2/"] = elsewhere.pages["/v2/"]
    assert call(boss, "POST", "/registries", described(elsewhere, url=url)).status_code == 201
    assert {seen for _, seen, _ in elsewhere.seen} == {f"{path}/v2/"}


def test_what_newcomers_get_wrong_is_said_plainly(boss: Client, elsewhere: Server) -> None:
    refuse = page(b"no", status=401, WWW_Authenticate='Basic realm="x"')
    elsewhere.pages["/refuses/v2/"] = refuse
    elsewhere.pages["/portal/v2/"] = page(b"nothing here", status=404)
    for path, said in (
        ("/refuses", "was answered with 401: it does not accept the access ID and the access secret"),
        ("/portal", "/portal is no registry: the address is that of docker login, mostly without a path"),
    ):
        answer = call(boss, "POST", "/registries", described(elsewhere, url=elsewhere.url + path))
        assert answer.status_code == 400
        assert said in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "127.0.0.1:9"},
        {"url": "ftp://example.com"},
        {"url": "http://169.254.169.254/"},
        {"type": "nothing"},
        {"name": ""},
        {"name": "x" * 65},
        {"ca_certificate": "no PEM"},
        {"credential": {"type": "magic"}},
    ],
)
def test_a_registry_that_cannot_be_is_refused(boss: Client, elsewhere: Server, changes: dict[str, Any]) -> None:
    assert error_code(call(boss, "POST", "/registries", described(elsewhere, **changes))) == "BAD_REQUEST"
    assert not Registry.objects.exists()


def test_a_realm_of_another_owner_gets_no_credentials(boss: Client) -> None:
    """CVE-2026-33540: whoever can answer for the upstream names the realm."""
    thief, upstream = Server(), Server()
    thief.pages["/token?service=x"] = page(b'{"token": "stolen"}')
    upstream.pages["/v2/"] = page(
        b"{}", status=401, WWW_Authenticate=f'Bearer realm="http://localhost:{thief.port}/token",service="x"'
    )
    for server in (thief, upstream):
        server.start()
    assert call(boss, "POST", "/registries", described(upstream)).status_code == 400
    assert [path for _, path, _ in thief.seen] == ["/token?service=x"]
    assert not any("Authorization" in headers for _, _, headers in thief.seen)
    for server in (thief, upstream):
        server.stop()


def test_a_registry_in_use_stays(boss: Client, registry: Registry) -> None:
    call(boss, "POST", "/replication/policies", rule(registry))
    answer = call(boss, "DELETE", f"/registries/{registry.pk}")
    assert (answer.status_code, error_code(answer)) == (412, "PRECONDITION")
    policy = ReplicationPolicy.objects.get()
    assert call(boss, "DELETE", f"/replication/policies/{policy.pk}").status_code == 200
    assert call(boss, "DELETE", f"/registries/{registry.pk}").status_code == 200


def test_a_scheduled_policy_has_a_schedule_while_it_is_enabled(boss: Client, registry: Registry) -> None:
    trigger = {"type": "scheduled", "trigger_settings": {"cron": "0 30 2 * * *"}}
    call(boss, "POST", "/replication/policies", rule(registry, trigger=trigger))
    policy = ReplicationPolicy.objects.get()
    assert Schedule.objects.get(vendor_type="REPLICATION").vendor_id == policy.pk
    call(boss, "PUT", f"/replication/policies/{policy.pk}", rule(registry, trigger=trigger, enabled=False))
    assert not Schedule.objects.filter(vendor_type="REPLICATION").exists()


def scheduled(cron: str) -> dict[str, Any]:
    return {"trigger": {"type": "scheduled", "trigger_settings": {"cron": cron}}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "empty name"),
        ({"dest_registry": {}}, "either src_registry or dest_registry"),
        ({"dest_namespace": "Not/Valid"}, "invalid destination namespace: Not/Valid"),
        ({"dest_namespace_replace_count": 200}, "invalid flattening level: 200"),
        (scheduled(""), "invalid cron string for scheduled trigger"),
        (scheduled("@daily"), "invalid cron string for scheduled trigger: @daily"),
        (scheduled("0 61 * * * *"), "invalid cron string for scheduled trigger: 0 61"),
        (scheduled("5 0 * * * *"), "Seconds of time"),
        (scheduled("0 * * * * *"), "not allowed for the Minutes"),
        ({"trigger": {"type": "sometimes"}}, "invalid trigger type"),
        ({"trigger": {"type": "event_based"}, "single_active_replication": True}, "exclude each other"),
        ({"filters": [{"type": "name", "value": "a/[b"}]}, "the pattern a/[b cannot be read"),
        ({"filters": [{"type": "tag", "value": "v{1,2"}]}, "the pattern v{1,2 cannot be read"),
        ({"filters": [{"type": "name", "value": "{a,b}" * 100}]}, "too many alternatives"),
        (
            {"filters": [{"type": "name", "value": "library/nginx:latest"}]},
            "no repository is called library/nginx:latest",
        ),
        ({"filters": [{"type": "name", "value": "Library/{nginx,redis}"}]}, "no repository is called Library/nginx"),
        ({"filters": [{"type": "name", "value": "https://example.com/a"}]}, "no repository is called https://"),
        ({"filters": [{"type": "name", "value": "../../etc/passwd"}]}, "no repository is called ../../etc/passwd"),
        ({"filters": [{"type": "label", "value": "prod"}]}, "label filter value"),
        ({"filters": [{"type": "colour", "value": "red"}]}, "invalid filter type"),
        ({"filters": [{"type": "tag", "value": "v1", "decoration": "likes"}]}, "invalid filter decoration"),
        ({"filters": [{"type": "resource", "value": "chart"}]}, "invalid resource filter: chart"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_the_reason(
    boss: Client, registry: Registry, changes: dict[str, Any], reason: str
) -> None:
    answer = call(boss, "POST", "/replication/policies", rule(registry, **changes))
    assert (answer.status_code, error_code(answer)) == (400, "BAD_REQUEST")
    assert reason in answer.json()["errors"][0]["message"]
    assert not ReplicationPolicy.objects.exists()


def test_an_execution_with_its_tasks_and_log(boss: Client, admin: User, library: Project, distribution: str) -> None:
    target = Registry.objects.create(name="there", type="docker-registry", url=f"http://{distribution}")
    push_here(library, "library/api/app", ("v1", "v2"), images.image("api"))
    call(boss, "POST", "/replication/policies", rule(target, filters=[{"type": "name", "value": "library/api/*"}]))
    policy = ReplicationPolicy.objects.get()
    answer = call(boss, "POST", "/replication/executions", {"policy_id": policy.pk})
    place = answer["Location"].removeprefix(API)
    carry_out(Execution.objects.get())
    shown = call(boss, "GET", place).json()
    assert {name: shown[name] for name in ("status", "trigger", "total", "succeed", "policy_id")} == {
        "status": "Succeed",
        "trigger": "manual",
        "total": 1,
        "succeed": 1,
        "policy_id": policy.pk,
    }
    (task,) = call(boss, "GET", f"{place}/tasks?status=Succeed").json()
    assert (task["operation"], task["src_resource"]) == ("copy", "library/api/app [2 item(s) in total]")
    assert call(boss, "GET", f"{place}/tasks?status=Failed").json() == []
    log = call(boss, "GET", f"{place}/tasks/{task['id']}/log")
    assert log["Content-Type"].startswith("text/plain")
    assert b"manifest(s) copied" in log.content
    assert [each["id"] for each in call(boss, "GET", f"/replication/executions?policy_id={policy.pk}").json()] == [
        shown["id"]
    ]
    assert call(boss, "GET", "/replication/executions?status=Failed").json() == []


def test_stopping_ends_what_waits(boss: Client, library: Project, registry: Registry) -> None:
    call(boss, "POST", "/replication/policies", rule(registry))
    policy = ReplicationPolicy.objects.get()
    call(boss, "POST", "/replication/executions", {"policy_id": policy.pk})
    execution = Execution.objects.get()
    assert call(boss, "DELETE", f"/replication/policies/{policy.pk}").status_code == 412
    assert call(boss, "PUT", f"/replication/executions/{execution.pk}").status_code == 200
    execution.refresh_from_db()
    assert execution.status == Status.STOPPED


def test_only_administrators_see_registries_and_policies(
    registry: Registry, alice: User, client_for: ClientFor
) -> None:
    for path in ("/registries", f"/registries/{registry.pk}", "/replication/policies", "/replication/executions"):
        assert call(client_for(alice), "GET", path).status_code == 403
        assert call(client_for(None), "GET", path).status_code == 401
    assert call(client_for(alice), "POST", "/registries/ping", {"id": registry.pk}).status_code == 403


def test_the_local_registry_has_the_id_zero(boss: Client) -> None:
    assert call(boss, "GET", "/registries/0").json()["name"] == "Local"
    assert "event_based" in call(boss, "GET", "/registries/0/info").json()["supported_triggers"]
    infos = call(boss, "GET", "/replication/adapterinfos").json()
    assert infos["docker-hub"]["endpoint_pattern"]["endpoints"] == [
        {"key": "hub.docker.com", "value": "https://hub.docker.com"}
    ]
    assert "harbor" not in infos
