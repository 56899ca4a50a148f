"""A directory to sign in with, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from projects import params
from projects.identity import sign_in
from projects.models import Project, User, UserGroup
from projects.permissions import Role
from projects.services import members
from tests import slapd as server
from tests.slapd import Slapd
from tests.test_outbound import LOOPBACK, allow

Configure: TypeAlias = Callable[..., None]


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    with server.slapd() as running:
        yield running


@pytest.fixture
def configure(db: None, slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Settings of the first server, given without `ldap_`; what is not given is as for the tree of OpenLDAP."""
    allow(monkeypatch, *LOOPBACK)

    def change(**given: Any) -> None:
        usual: dict[str, Any] = {
            "url": slapd.url,
            "search_dn": server.SEARCH_DN,
            "search_password": server.SEARCH_PASSWORD,
            "base_dn": server.PEOPLE,
            "uid": "uid",
            "filter": "(employeeType=active)",
            "timeout": 2,
        }
        params.update({"auth_mode": "ldap_auth"} | {f"ldap_{key}": value for key, value in (usual | given).items()})
        params.forget()

    return change


@pytest.fixture
def directory(configure: Configure, admin: User) -> Configure:
    """The tree of OpenLDAP is the source of users, beside the database."""
    configure()
    return configure


@pytest.fixture
def nested(directory: Configure) -> Configure:
    """The same with a search for groups."""
    directory(group_search_filter="(objectClass=groupOfNames)", group_base_dn=server.GROUPS)
    return directory


def enter(username: str, password: str = server.PASSWORD) -> Any:
    return sign_in(username=username, password=password, remote_addr="127.0.0.1")


def known_group(dn: str, name: str, source: str = "ldap") -> UserGroup:
    from projects.identity.ldap.directory import canonical

    return UserGroup.objects.create(
        group_name=name, group_type=UserGroup.Type.LDAP, ldap_group_dn=canonical(dn), source=source
    )


def give(project: Project, group: UserGroup, role: Role) -> None:
    members.add_member(project=project, role=role, actor="test", group=group)
