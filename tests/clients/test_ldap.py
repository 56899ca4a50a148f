"""A server whose users come from two directories of harbor.cfg, and a client that pushes as one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import images, services, slapd
from tests.clients.registry import Registry
from tests.clients.tools import Tool
from tests.slapd import PASSWORD, Slapd

GUARDS = ("--dest-tls-verify=false",)


@pytest.fixture(scope="module")
def directory() -> Iterator[Slapd]:
    with slapd.slapd() as running:
        yield running


@pytest.fixture(scope="module")
def site(directory: Slapd) -> Iterator[services.Site]:
    settings: dict[str, Any] = {
        "auth_mode": "ldap_auth",
        "ldap_url": directory.url,
        "ldap_searchdn": slapd.SEARCH_DN,
        "ldap_search_pwd": slapd.SEARCH_PASSWORD,
        "ldap_basedn": slapd.PEOPLE,
        "ldap_uid": "uid",
        "ldap_filter": "(employeeType=active)",
        "ldap_group_basedn": slapd.GROUPS,
        "ldap_group_filter": "(objectClass=groupOfNames)",
        "ldap_2_url": directory.url,
        "ldap_2_start_tls": "on",
        "ldap_2_ca_file": directory.tls.ca,
        "ldap_2_searchdn": slapd.AD_SEARCH_DN,
        "ldap_2_search_pwd": slapd.SEARCH_PASSWORD,
        "ldap_2_basedn": slapd.AD_PEOPLE,
        "ldap_2_uid": "sAMAccountName",
        "ldap_2_group_basedn": slapd.AD_GROUPS,
        "ldap_2_group_filter": "(objectClass=group)",
        "allowed_networks": "127.0.0.0/8",
    }
    with services.harborsite(**settings) as running:
        yield running


@pytest.fixture
def registry(site: services.Site) -> Registry:
    return Registry(site.host, "admin", site.password)


def give(registry: Registry, project: str, dn: str) -> None:
    body = {"role_id": 2, "member_group": {"ldap_group_dn": dn, "group_type": 1}}
    headers = {"Content-Type": "application/json"}
    registry.expect(201, "POST", f"/api/v2.0/projects/{project}/members", json.dumps(body).encode(), headers)


def test_a_developer_by_a_nested_group_pushes_until_they_are_taken_out_of_it(
    site: services.Site, directory: Slapd, registry: Registry, project: str, skopeo: Tool, tmp_path: Path
) -> None:
    give(registry, project, slapd.EVERYONE)
    image = images.image("ldap")
    registry.push(f"{project}/source", image, "1")
    here = f"dir:{tmp_path / 'image'}"
    skopeo("login", "--tls-verify=false", "-u", "admin", "--password-stdin", site.host, stdin=site.password)
    skopeo("copy", "--src-tls-verify=false", f"docker://{site.host}/{project}/source:1", here)
    skopeo("logout", site.host)

    said = skopeo("login", "--tls-verify=false", "-u", "lena", "--password-stdin", site.host, stdin=PASSWORD)
    assert "Login Succeeded" in said
    skopeo("copy", *GUARDS, here, f"docker://{site.host}/{project}/hers:1")
    registry.assert_serves(f"{project}/hers", "1", image)
    directory.change(slapd.DEVELOPERS, member=[slapd.TOM])
    try:
        refused = skopeo.refused("copy", *GUARDS, here, f"docker://{site.host}/{project}/hers:2")
        assert "denied" in refused or "unauthorized" in refused
    finally:
        directory.change(slapd.DEVELOPERS, member=[slapd.LENA, slapd.TOM])
    skopeo("copy", *GUARDS, here, f"docker://{site.host}/{project}/hers:2")


def test_a_wrong_password_of_the_directory_is_refused(site: services.Site, skopeo: Tool) -> None:
    said = skopeo.refused("login", "--tls-verify=false", "-u", "lena", "--password-stdin", site.host, stdin="wrong")
    assert "invalid username/password" in said


def test_people_of_the_second_server_sign_in_over_start_tls(
    site: services.Site, registry: Registry, project: str
) -> None:
    give(registry, project, slapd.AD_DEVELOPERS)
    anna = Registry(site.host, "anna", PASSWORD)
    anna.push(f"{project}/anna", images.image("anna"), "1")
    stranger = Registry(site.host, "crowd7", PASSWORD)
    assert stranger.request("POST", f"/v2/{project}/anna/blobs/uploads/", b"").status == 401


def test_the_command_tells_what_each_server_answers(site: services.Site) -> None:
    argv = [sys.executable, str(services.ROOT / "manage.py"), "ldap_test", "crowd7", "--json"]
    done = subprocess.run(argv, env=os.environ | site.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, "the first server does not know the name"
    found = {(step["source"], step["title"]): step["ok"] for step in json.loads(done.stdout)}
    assert (found["ldap", "Entry"], found["ldap_2", "Entry"], found["ldap_2", "Encryption"]) == (False, True, True)
