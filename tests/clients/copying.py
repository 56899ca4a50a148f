"""What an operator does to replicate, by REST: name a registry, make a policy, run it, see how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.clients.registry import Registry
from tests.services import Site

JSON = {"Content-Type": "application/json"}


class Operator:
    """The administrator of the site that replicates."""

    def __init__(self, site: Site) -> None:
        self.rest = Registry(site.host, "admin", site.password)

    def create(self, path: str, body: Mapping[str, Any]) -> int:
        """Returns the id of what was made."""
        answer = self.rest.expect(201, "POST", f"/api/v2.0{path}", json.dumps(body).encode(), JSON)
        return int(answer.headers["location"].rpartition("/")[2])

    def read(self, path: str) -> Any:
        return self.rest.expect(200, "GET", f"/api/v2.0{path}").json

    def registry(self, host: str, kind: str, user: str = "", password: str = "", **changes: Any) -> int:
        credential = {"type": "basic", "access_key": user, "access_secret": password}
        described = {"name": host, "type": kind, "url": f"http://{host}", "credential": credential}
        return self.create("/registries", described | changes)

    def policy(self, name: str, names: str, **changes: Any) -> int:
        """A policy that is started by hand; `changes` name its other side."""
        filters = [{"type": "name", "value": names}]
        return self.create(
            "/replication/policies", {"name": name, "filters": filters, "enabled": True, "override": True, **changes}
        )

    def start(self, policy: int) -> int:
        return self.create("/replication/executions", {"policy_id": policy})

    def execution(self, number: int) -> Any:
        return self.read(f"/replication/executions/{number}")

    def finish(self, number: int, *, seconds: float = 120) -> Any:
        """The execution when it has ended."""
        deadline = time.monotonic() + seconds
        while (found := self.execution(number))["status"] == "InProgress":
            assert time.monotonic() < deadline, f"{found}\n{self.log(number, only_failed=True)}"
            time.sleep(0.1)
        return found

    def run(self, policy: int) -> Any:
        number = self.start(policy)
        found = self.finish(number)
        return found | {"log": self.log(number)}

    def tasks(self, number: int) -> list[Any]:
        found: list[Any] = self.read(f"/replication/executions/{number}/tasks?page_size=100")
        return found

    def log(self, number: int, *, only_failed: bool = False) -> str:
        shown = [task["id"] for task in self.tasks(number) if not only_failed or task["status"] != "Succeed"]
        paths = [f"/api/v2.0/replication/executions/{number}/tasks/{task}/log" for task in shown]
        return "".join(self.rest.expect(200, "GET", path).body.decode() for path in paths)

    def busy_workers(self) -> list[int]:
        """The processes that are replicating right now."""
        workers = self.read("/jobservice/pools/all/workers")
        return [int(each["id"].rpartition(":")[2]) for each in workers if each.get("job_name") == "REPLICATION"]
