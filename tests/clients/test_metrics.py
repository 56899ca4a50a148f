"""Metrics of a running server: all its processes count into one answer, the short way of pulls included."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from tests import images, services
from tests.clients.registry import Registry

PULL = 'harbor_core_http_request_total{code="200",method="GET",operation="v2_manifest"}'


def sample(registry: Registry, name: str, component: str = "core") -> float:
    text = registry.expect(200, "GET", f"/metrics?comp={component}").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_every_process_is_counted_once(site: services.Site, registry: Registry, project: str) -> None:
    registry.push(f"{project}/app", images.image("metrics"), "1")
    before = sample(registry, PULL)
    token = {"Authorization": f"Bearer {registry.token(f'repository:{project}/app:pull')}", "Accept": "*/*"}
    with ThreadPoolExecutor(16) as crowd:
        pulled = crowd.map(
            lambda _: registry.expect(200, "GET", f"/v2/{project}/app/manifests/1", None, token), range(400)
        )
        assert len(list(pulled)) == 400
    time.sleep(0.2)  # the last answers are counted after they were read
    assert sample(registry, PULL) == before + 400
    assert sample(registry, PULL) == before + 400  # whichever process answers
    counted = f'harbor_core_http_registry_proxy_requests_total{{method="GET",project="{project}"}}'
    assert sample(registry, counted) >= 400
    assert len({file.name.rpartition("_")[2] for file in (site.data / "run" / "metrics").glob("counter_*.db")}) >= 2


def test_ended_tasks_of_the_job_processes_are_counted(registry: Registry) -> None:
    name = 'harbor_jobservice_task_total{status="success",type="GARBAGE_COLLECTION"}'
    before = sample(registry, name, "jobservice")
    body = b'{"schedule": {"type": "Manual"}, "parameters": {}}'
    registry.expect(201, "POST", "/api/v2.0/system/gc/schedule", body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 30
    while sample(registry, name, "jobservice") != before + 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
