"""One running Harborsite for the client tests of a worker, and a project for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import services
from tests.clients.registry import Registry
from tests.clients.tools import Tool

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.client)


@pytest.fixture(scope="session")
def site() -> Iterator[services.Site]:
    with services.harborsite() as site:
        yield site


@pytest.fixture
def registry(site: services.Site) -> Registry:
    """The administrator's plain HTTP view of the running server."""
    return Registry(site.host, "admin", site.password)


@pytest.fixture
def project(registry: Registry, request: pytest.FixtureRequest) -> str:
    """A private project of the test's own."""
    name = f"{request.path.stem.removeprefix('test_')}-{uuid.uuid4().hex[:12]}"
    registry.create_project(name)
    return name


@pytest.fixture
def home() -> Iterator[Path]:
    """A home directory of the test's own, so that no client reads or leaves anything in the caller's.

    Its path is short: Podman takes no run root of more than 50 characters.
    """
    with services.workspace("home") as directory:
        yield directory


@pytest.fixture
def skopeo(home: Path) -> Tool:
    return Tool("skopeo", home, {"REGISTRY_AUTH_FILE": str(home / "auth.json")})


@pytest.fixture
def crane(home: Path) -> Tool:
    return Tool("crane", home)


@pytest.fixture
def oras(home: Path) -> Tool:
    return Tool("oras", home)
