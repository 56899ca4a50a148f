"""The configuration of a project, and the lists of vulnerabilities that do not count."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.test import Client

from audit.models import AuditLog
from projects.models import CVEAllowlist, Project, User
from projects.services import allowlists, metadata
from tests.factories import client_for, push
from tests.images import image
from tests.portal.conftest import SignedIn

People = dict[str, User | None]
ADDRESS = "/projects/library/configuration/"
SYSTEM = "/settings/cve-allowlist/"
OWN, SYSTEMS = {"reuse_sys_cve_allowlist": "false"}, {"reuse_sys_cve_allowlist": "true"}


def recorded() -> int:
    return AuditLog.objects.filter(operation="update").count()


@pytest.mark.parametrize("who", ["admin", "project admin"])
def test_everything_that_the_settings_hold_is_shown_and_saved(
    who: str, people: People, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(people[who])
    page = client.get(ADDRESS).content.decode()
    assert "checked" not in page.replace('value="true" id="id_reuse_sys_cve_allowlist_0" checked', "")
    entered = {
        "public": "on",
        "enable_content_trust_cosign": "on",
        "prevent_vul": "on",
        "severity": "high",
        "auto_scan": "on",
        **OWN,
        "items": "CVE-2026-1, CVE-2026-2\nCVE-2026-1\n\n",
        "last_day": "2027-01-31",
    }
    answer = client.post(ADDRESS, entered, follow=True)
    assert "The configuration has been saved." in answer.content.decode()
    library.refresh_from_db()
    assert metadata.of_project(library) == {
        "public": "true",
        "enable_content_trust_cosign": "true",
        "prevent_vul": "true",
        "severity": "high",
        "auto_scan": "true",
        "reuse_sys_cve_allowlist": "false",
    }
    kept = library.cve_allowlist
    assert kept.items == ["CVE-2026-1", "CVE-2026-2"]
    assert kept.expires_at == datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    page = answer.content.decode()
    for shown in ("CVE-2026-1\nCVE-2026-2", 'value="2027-01-31"', 'value="high" selected'):
        assert shown in page
    client.post(ADDRESS, SYSTEMS)
    library.refresh_from_db()
    settings = metadata.of_project(library)
    assert (settings["public"], settings["prevent_vul"], settings["severity"]) == ("false", "false", "high")
    assert settings["reuse_sys_cve_allowlist"] == "true"
    kept.refresh_from_db()
    assert kept.items == []
    assert kept.expires_at is None


def test_saving_what_is_there_writes_nothing(alice: User, library: Project, signed_in: SignedIn) -> None:
    """Also where the API has set what the form cannot say: another time of day, a year beyond the calendar."""
    for expires_at in (1_800_000_123, 10**17):
        allowlists.set_allowlist(project=library, items=["CVE-1"], expires_at=expires_at, actor=alice)
        before, client = recorded(), signed_in(alice)
        day = "2027-01-15" if expires_at == 1_800_000_123 else ""
        page = client.get(ADDRESS).content.decode()
        assert ('value="2027-01-15"' in page) == bool(day)
        assert client.post(ADDRESS, {**SYSTEMS, "items": "CVE-1", "last_day": day}).status_code == 302
        assert recorded() == before
        assert CVEAllowlist.objects.get(project=library).expires_at == expires_at
    assert metadata.of_project(library) == {"public": "false"}


@pytest.mark.parametrize("who", ["maintainer", "developer"])
def test_who_works_in_the_project_reads_its_configuration_and_changes_nothing(
    who: str, people: People, library: Project, alice: User, signed_in: SignedIn
) -> None:
    metadata.change(project=library, name="auto_scan", value="true", actor=alice)
    client, before = signed_in(people[who]), recorded()
    page = client.get(ADDRESS).content.decode()
    form = page[page.index("<main") :]
    controls = re.findall(r'<(?:input type="(?!hidden)|select|textarea|button)[^>]*>', form)
    assert len(controls) == 11
    assert all("disabled" in control for control in controls)
    for entered in ({"public": "on"}, {"copy": "yes"}):
        assert client.post(ADDRESS, entered).status_code == 403
    assert recorded() == before
    library.refresh_from_db()
    assert not library.public


@pytest.mark.parametrize(
    "wrong", [{"severity": "awful", "prevent_vul": "on"}, {"items": "x" * 65}, {"last_day": "soon"}]
)
def test_what_cannot_be_is_refused_and_nothing_of_it_kept(
    wrong: dict[str, str], alice: User, library: Project, signed_in: SignedIn
) -> None:
    answer = signed_in(alice).post(ADDRESS, {"public": "on", "auto_scan": "on", **OWN, **wrong})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert 'class="error"' in page or 'class="field-error"' in page
    library.refresh_from_db()
    assert metadata.of_project(library) == {"public": "false"}
    assert not CVEAllowlist.objects.exists()


def test_the_systems_list_is_copied_into_the_form_without_saving(
    admin: User, alice: User, library: Project, signed_in: SignedIn
) -> None:
    allowlists.set_allowlist(project=None, items=["CVE-2026-7", "CVE-2026-8"], expires_at=None, actor=admin)
    client = signed_in(alice)
    entered = {**OWN, "public": "on", "items": "CVE-2026-8\nCVE-2026-1"}
    page = client.post(ADDRESS, {**entered, "copy": "yes"}).content.decode()
    assert "CVE-2026-8\nCVE-2026-1\nCVE-2026-7</textarea>" in page
    assert 'value="false" id="id_reuse_sys_cve_allowlist_1" checked' in page.replace(' data-when=""', "")
    library.refresh_from_db()
    assert not library.public
    assert not CVEAllowlist.objects.exclude(project=None).exists()


def test_a_setting_made_in_the_portal_holds_pulls_back(
    alice: User, library: Project, signed_in: SignedIn, bob: User
) -> None:
    assert push(client_for(alice), "library/app:v1", image()).status_code == 201
    headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    address = "/v2/library/app/manifests/v1"
    assert client_for(bob).get(address, headers=headers).status_code == 200
    signed_in(alice).post(ADDRESS, {"enable_content_trust": "on"})
    refusal = client_for(bob).get(address, headers=headers)
    assert (refusal.status_code, refusal.json()["errors"][0]["code"]) == (412, "PROJECTPOLICYVIOLATION")
    signed_in(alice).post(ADDRESS, {})
    assert client_for(bob).get(address, headers=headers).status_code == 200


def test_the_list_of_the_system_is_kept_by_administrators(admin: User, alice: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    assert SYSTEM in client.get("/settings/").content.decode()
    answer = client.post(SYSTEM, {"items": "CVE-2026-9 CVE-2026-10", "last_day": "2026-12-31"}, follow=True)
    page = answer.content.decode()
    assert "The CVE allowlist has been saved." in page
    assert "CVE-2026-9\nCVE-2026-10</textarea>" in page
    shown = Client().get("/api/v2.0/system/CVEAllowlist")
    assert shown.status_code == 401
    told = client.get("/api/v2.0/system/CVEAllowlist").json()
    assert [item["cve_id"] for item in told["items"]] == ["CVE-2026-9", "CVE-2026-10"]
    assert told["expires_at"] == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    before = recorded()
    client.post(SYSTEM, {"items": "CVE-2026-9\nCVE-2026-10", "last_day": "2026-12-31"})
    assert recorded() == before
    assert signed_in(alice).post(SYSTEM, {"items": ""}).status_code == 403
    assert CVEAllowlist.objects.get(project=None).items == ["CVE-2026-9", "CVE-2026-10"]
